//! Proxies from the environment.

use crate::support::{Registry, Scripted, command, run};

fn inspect(reference: &str, more: &[&str], environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path(), &[&["--debug", "--retries", "0", "inspect", reference], more].concat());
    command.envs(environment.iter().copied());
    run(command, "").stderr
}

#[test]
fn a_registry_is_reached_through_the_proxy_of_its_scheme() {
    let proxy = Scripted::start(|_, _| (404, vec![], br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#.to_vec()));
    let url = format!("http://{}", proxy.host);
    for name in ["HTTP_PROXY", "http_proxy"] {
        let stderr = inspect("registry.test/app:v1", &["--plain-http"], &[(name, &url)]);
        assert!(stderr.contains("registry.test/app:v1 not found"), "{stderr}");
    }
    for name in ["HTTPS_PROXY", "https_proxy"] {
        inspect("registry.test/app:v1", &[], &[(name, &url)]);
    }
    let asked: Vec<String> = proxy.asked().into_iter().map(|asked| asked.line).collect();
    let plain = "GET http://registry.test/v2/app/manifests/v1";
    assert_eq!(asked, [plain, plain, "CONNECT registry.test:443", "CONNECT registry.test:443"]);
}

#[test]
fn no_proxy_and_loopback_go_past_it() {
    let proxy = Scripted::start(|_, _| (404, vec![], vec![]));
    let registry = Registry::start();
    let url = format!("http://u:secret-word@{}", proxy.host);
    let all = [("HTTP_PROXY", url.as_str()), ("HTTPS_PROXY", &url)];
    let stderr = inspect("registry.test/app:v1", &[], &[&all[..], &[("NO_PROXY", ".test")]].concat());
    assert!(stderr.contains("no answer") && !stderr.contains("secret-word"), "{stderr}");
    let stderr = inspect(&format!("{}/app:v1", registry.host), &[], &all);
    assert!(stderr.contains("MANIFEST_UNKNOWN"), "{stderr}");
    assert!(proxy.asked().is_empty());
}
