//! Asks a proxy again for a tunnel that it refused, because the HTTP client drops the status of the refusal.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

/// The maximum time for connecting and for the response.
const MAX_TIME: Duration = Duration::from_secs(5);
/// The length of `HTTP/1.1 403` in bytes.
const STATUS_LENGTH: usize = 12;

/// Returns the status with which an `http://` proxy refuses a tunnel to the server of `url` (RFC 9110, section 9.3.6).
/// Returns `None` if it does not refuse now, or does not answer in time.
pub(super) async fn refusal(proxy: &Url, url: &Url) -> Option<u16> {
    if proxy.scheme() != "http" {
        return None;
    }
    let status = tokio::time::timeout(MAX_TIME, status(proxy, url)).await.ok().flatten()?;
    (!(200..300).contains(&status)).then_some(status)
}

async fn status(proxy: &Url, url: &Url) -> Option<u16> {
    let authority = |url: &Url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?));
    let mut stream = TcpStream::connect(authority(proxy)?).await.ok()?;
    let target = authority(url)?;
    let authorization = authorization(proxy).unwrap_or_default();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut line = [0; STATUS_LENGTH];
    stream.read_exact(&mut line).await.ok()?;
    parse(&line)
}

/// Returns the header line with the user name and password in the proxy's URL.
fn authorization(proxy: &Url) -> Option<String> {
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy();
    let pair = format!("{}:{}", decoded(proxy.username()), decoded(proxy.password().unwrap_or_default()));
    (pair != ":").then(|| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(pair)))
}

/// Returns the status in the first bytes of a response (RFC 9112, section 4).
fn parse(line: &[u8; STATUS_LENGTH]) -> Option<u16> {
    let text = std::str::from_utf8(line).ok()?;
    text.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        for (line, status) in [
            (b"HTTP/1.1 403", Some(403)),
            (b"HTTP/1.0 502", Some(502)),
            (b"HTTP/2.0 403", None),
            (b"SSH-2.0-Open", None),
            (b"HTTP/1.1 4x3", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(parse(line), status, "{line:?}");
        }
    }

    #[test]
    fn credentials_in_the_url_are_sent() {
        let header = |url: &str| authorization(&url.parse().unwrap());
        assert_eq!(header("http://p:1"), None);
        assert_eq!(header("http://token@p:1"), Some("Proxy-Authorization: Basic dG9rZW46\r\n".into()));
        assert_eq!(header("http://u:p%40%2B+&@p:1"), Some("Proxy-Authorization: Basic dTpwQCsrJg==\r\n".into()));
    }
}
