//! `docker-daemon:`, and what Docker's engine loads and saves.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;

use super::{Images, run};
use crate::support::{DockerEngine, Outcome};

/// Runs the program with `DOCKER_HOST`.
fn with_host(images: &Images, host: &str, args: &[&str]) -> Outcome {
    let mut command = images.sandbox.command(args);
    command.env("DOCKER_HOST", host);
    crate::support::run(command, "")
}

/// One engine for all checks, because it takes seconds to start.
#[test]
fn docker_loads_what_is_written_and_what_it_saves_is_read() {
    let Some(engine) = DockerEngine::start() else { return };
    let images = Images::new();
    let id = images.config("HOST/app:amd64");
    let name = images.sandbox.fill("HOST/app:amd64");

    for target in ["docker-archive:a.tar", "oci-archive:o.tar", "docker-daemon:HOST/app:amd64"] {
        with_host(&images, &engine.host(), &["copy", "HOST/app:amd64", target]).success();
        if let Some((_, file)) = target.split_once("archive:") {
            let path = images.sandbox.path(file);
            let loaded = engine.docker(&["load", "-i", path.to_str().unwrap()]);
            assert!(loaded.status.success(), "{target}: {loaded:?}");
        }
        assert_eq!(engine.image_id(&name).as_ref(), Some(&id), "{target}");
        assert!(engine.docker(&["rmi", &name]).status.success());
    }

    let copied = with_host(&images, &engine.host(), &["copy", "HOST/app:v1", "docker-daemon:app:v1"]).success();
    copied.stderr_contains("HOST/app:v1 is an index".replace("HOST", &images.registry().host).as_str());
    assert!(engine.image_id("app:v1").is_some());
    let saved = images.sandbox.path("saved.tar");
    assert!(engine.docker(&["save", "-o", saved.to_str().unwrap(), "app:v1"]).status.success());
    let chosen = engine.image_id("app:v1").unwrap();
    let mut piped = images.sandbox.command(&["copy", "docker-archive:-", "HOST/piped:v1"]);
    let mut save = std::process::Command::new("/usr/bin/docker");
    save.args(["-H", &engine.host(), "save", "app:v1"]).stdout(std::process::Stdio::piped());
    let mut save = save.spawn().unwrap();
    let piped = piped.stdin(save.stdout.take().unwrap()).output().unwrap();
    assert!(piped.status.success() && save.wait().unwrap().success(), "{piped:?}");
    assert_eq!(images.config("HOST/piped:v1"), chosen);
    assert_eq!(images.config("docker-archive:saved.tar:app:v1"), chosen);
    let by_id = format!("docker-daemon:{chosen}");
    for source in ["docker-archive:saved.tar", "docker-daemon:app:v1", &by_id] {
        with_host(&images, &engine.host(), &["copy", source, "HOST/back:v1"]).success();
        assert_eq!(images.config("HOST/back:v1"), chosen, "{source}");
        images.sandbox.run(&["verify", "--layers", "HOST/back:v1"]).success();
    }
    let mut over_tls = images.sandbox.command(&["digest", "docker-daemon:app:v1"]);
    let variables = engine.tls_variables();
    over_tls.envs(variables.iter().map(|(name, value)| (name, value)));
    let digest = crate::support::run(over_tls, "").success().stdout;
    assert_eq!(digest.trim(), images.digest("docker-archive:saved.tar"));
    let mut untrusted = images.sandbox.command(&["digest", "docker-daemon:app:v1"]);
    untrusted.envs(variables.iter().map(|(name, value)| (name, value))).env("DOCKER_CERT_PATH", "");
    crate::support::run(untrusted, "").fails(1, "ca.pem: ");

    // A name without a tag means latest, and not every tag of the repository.
    let untagged = with_host(&images, &engine.host(), &["inspect", "docker-daemon:app"]);
    untagged.fails(1, "answered 404");
    let missing = with_host(&images, &engine.host(), &["inspect", "docker-daemon:gone:v1"]);
    missing.fails(1, "answered 404").stderr_contains("does not exist");
}

/// Starts an engine that gives one answer to every request.
fn scripted(folder: &std::path::Path, name: &str, answer: &'static [u8]) -> String {
    let path = folder.join(name);
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                // Read the head, and a chunked body up to its last chunk.
                let mut request = Vec::new();
                let mut chunk = [0; 4096];
                let is_whole = |request: &[u8]| match request.starts_with(b"GET") {
                    true => request.windows(4).any(|part| part == b"\r\n\r\n"),
                    false => body_is_whole(request),
                };
                while !is_whole(&request) {
                    match stream.read(&mut chunk) {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.extend_from_slice(&chunk[..read]),
                    }
                }
                let _ = stream.write_all(answer);
            });
        }
    });
    format!("unix://{}", path.display())
}

fn body_is_whole(request: &[u8]) -> bool {
    let Some(at) = request.windows(4).position(|part| part == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..at]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_some_and(|length| request.len() >= at + 4 + length.trim().parse::<usize>().unwrap())
}

#[test]
fn an_engine_that_fails_is_an_error_in_its_words() {
    let images = Images::new();
    let folder = tempfile::tempdir().unwrap();
    for (number, (answer, reason)) in [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Length: 29\r\n\r\n{\"message\":\"No such image: x\"}"[..29 + 46], "404"),
        (
            b"HTTP/1.1 500 Oops\r\nContent-Length: 23\r\nConnection: close\r\n\r\n{\"message\":\"disk full\"}",
            "500: disk full",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4096\r\nConnection: close\r\n\r\nhalf a tar", "the engine at unix://"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nnever", "not a tar archive"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "has no manifest.json"),
        (b"no HTTP", "the engine at unix://"),
    ]
    .into_iter()
    .enumerate()
    {
        let host = scripted(folder.path(), &format!("{number}.sock"), answer);
        let outcome = with_host(&images, &host, &["copy", "docker-daemon:app:v1", "HOST/copy:v1"]);
        outcome.fails(1, reason).stderr_contains("docker-daemon:app:v1");
        assert!(images.registry().manifest("copy", "v1").is_none());
    }
}

/// The engine answers a load with 200, and reports a failure in the body.
#[test]
fn a_failed_load_is_an_error_although_its_status_is_200() {
    let images = Images::new();
    let folder = tempfile::tempdir().unwrap();
    for (number, (answer, reason)) in [
        (
            &b"HTTP/1.1 200 OK\r\nContent-Length: 59\r\nConnection: close\r\n\r\n{\"stream\":\"x\"}\r\n{\"errorDetail\":{},\"error\":\"unexpected EOF\"}"[..],
            "the engine did not load it: unexpected EOF",
        ),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 23\r\nConnection: close\r\n\r\n{\"message\":\"disk full\"}", "500: disk full"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"stream\"", "the engine's answer is not valid"),
    ]
    .into_iter()
    .enumerate()
    {
        let host = scripted(folder.path(), &format!("{number}.sock"), answer);
        let outcome = with_host(&images, &host, &["copy", "HOST/app:amd64", "docker-daemon:app:v1"]);
        outcome.fails(1, reason).stderr_contains("no tag was written");
    }
}

#[test]
fn an_engine_that_cannot_be_reached_is_named_with_what_to_check() {
    let images = Images::new();
    for (host, reason) in [
        ("unix:///nowhere/docker.sock", "No such file or directory (os error 2); is the engine running"),
        ("tcp://127.0.0.1:1", "is the engine running, and DOCKER_HOST right?"),
        ("ssh://user@host", "ssh:// is not supported; use unix:// or tcp://"),
        ("nonsense", "it is neither unix:///PATH nor tcp://HOST:PORT"),
    ] {
        with_host(&images, host, &["inspect", "docker-daemon:app:v1"]).fails(1, reason);
        with_host(&images, host, &["copy", "HOST/app:amd64", "docker-daemon:app:v1"]).fails(1, reason);
    }
    let tags = ["copy", "HOST/app:amd64", "docker-daemon:app:v1", "--tags", "v2"];
    images.sandbox.run(&tags).fails(2, "holds one image and cannot have tags");
    let guards = [&["--no-clobber"][..], &["--if-match", "none"]];
    for guard in guards {
        let copy = [&["copy", "HOST/app:amd64", "docker-daemon:app:v1"], guard].concat();
        images.sandbox.run(&copy).fails(1, "is not compared before it is replaced");
    }
    let id = format!("docker-daemon:{}", images.amd64);
    images.sandbox.run(&["copy", "--dry-run", "HOST/app:amd64", &id]).fails(1, "an ID names an image that exists");
    let outcome = with_host(&images, "ssh://user:hunter2@host", &["inspect", "docker-daemon:app:v1"]);
    outcome.fails(1, "ssh:// is not supported").stderr_lacks("hunter2");
    let plan = with_host(&images, "nonsense", &["copy", "--dry-run", "HOST/app:amd64", "docker-daemon:app:v1"]);
    plan.success();
}

/// Podman's service answers the same requests.
#[test]
fn podmans_service_is_an_engine_too() {
    let images = Images::new();
    let folder = images.sandbox.folder();
    let socket = folder.join("podman.sock");
    let mut service = super::podman(folder);
    service.args(["system", "service", "--time=0"]).arg(format!("unix://{}", socket.display()));
    let mut service = service.stdin(std::process::Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !socket.exists() && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let host = format!("unix://{}", socket.display());
    let written = with_host(&images, &host, &["copy", "HOST/app:amd64", "docker-daemon:r.example/app:v1"]);
    let read = with_host(&images, &host, &["copy", "docker-daemon:r.example/app:v1", "HOST/back:v1"]);
    service.kill().unwrap();
    service.wait().unwrap();
    written.success();
    read.success();
    assert_eq!(images.config("HOST/back:v1"), images.config("HOST/app:amd64"));
    let _ = run(super::podman(folder).args(["image", "exists", "r.example/app:v1"]));
}
