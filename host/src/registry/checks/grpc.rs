//! The gRPC health protocol, as a caller of one method has to speak it: `grpc.health.v1.Health/Check` over HTTP/2 without TLS.
//!
//! The request and the answer are one field each, so they are written and read by hand (proto3; the status is 0 unknown,
//! 1 SERVING, 2 NOT_SERVING, 3 SERVICE_UNKNOWN). At most a few hundred bytes of an answer are read.

use bytes::{BufMut as _, Bytes, BytesMut};
use h2::{RecvStream, client};
use hyper::{HeaderMap, Method, Request, Version};
use tokio::net::TcpStream;

/// How much of an answer is read.
const MOST: usize = 512;
/// How many bytes its headers may have.
const MOST_HEADERS: u32 = 16 << 10;
/// The tag of field 1 with a number in it.
const STATUS: u8 = 0x08;
/// The tag of field 1 with bytes in it.
const SERVICE: u8 = 0x0a;

/// Asks whether `service` serves.
pub(super) async fn check(stream: TcpStream, authority: &str, service: &str) -> Result<(), String> {
    let failed = |error: h2::Error| format!("it does not speak gRPC: {error}");
    let wanted = client::Builder::new().max_header_list_size(MOST_HEADERS).enable_push(false).handshake(stream);
    let (sender, connection) = wanted.await.map_err(failed)?;
    let exchange = exchange(sender, authority, service);
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        // What came before the end of the connection can still be read.
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(failed(error)),
        },
    }
}

async fn exchange(sender: client::SendRequest<Bytes>, authority: &str, service: &str) -> Result<(), String> {
    let failed = |error: h2::Error| format!("it does not speak gRPC: {error}");
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("http://{authority}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", "looma-check");
    let request = request.body(()).map_err(|error| format!("it cannot be asked: {error}"))?;
    let mut sender = sender.ready().await.map_err(failed)?;
    let (answer, mut body) = sender.send_request(request, false).map_err(failed)?;
    body.send_data(message(service), true).map_err(failed)?;
    let (head, mut body) = answer.await.map_err(failed)?.into_parts();
    if head.status.as_u16() != 200 {
        return Err(format!("it does not speak gRPC: it answered HTTP {}", head.status.as_u16()));
    }
    let text = read(&mut body).await?;
    let trailers = body.trailers().await.map_err(failed)?.unwrap_or_default();
    // An answer that is an error alone has its status in the head.
    let status = grpc_status(&trailers).or_else(|| grpc_status(&head.headers));
    match status.as_deref() {
        Some("0") => served(&text),
        Some("5") => Err(format!("it does not know the service {service:?}")),
        Some("12") => Err("it does not have the health service".to_owned()),
        Some(status) => Err(format!("it answered the gRPC status {status}")),
        None => Err("it does not speak gRPC: there is no status in its answer".to_owned()),
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?.to_str().ok()?;
    Some(status.chars().filter(char::is_ascii_alphanumeric).take(10).collect())
}

async fn read(body: &mut RecvStream) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| format!("its answer broke off: {error}"))?;
        text.extend_from_slice(&data);
        if text.len() > MOST {
            return Err("its answer is too long".to_owned());
        }
        // The window is larger than what is read, so this cannot fail for lack of it.
        let _ = body.flow_control().release_capacity(data.len());
    }
    Ok(text)
}

/// A message that names a service, with the five bytes that gRPC puts before it.
fn message(service: &str) -> Bytes {
    let mut own = BytesMut::new();
    if !service.is_empty() {
        own.put_u8(SERVICE);
        put_number(&mut own, service.len());
        own.put_slice(service.as_bytes());
    }
    let mut out = BytesMut::with_capacity(5 + own.len());
    out.put_u8(0);
    out.put_u32(u32::try_from(own.len()).unwrap_or(u32::MAX));
    out.put_slice(&own);
    out.freeze()
}

/// A number in groups of seven bits, the lowest first.
fn put_number(out: &mut BytesMut, mut number: usize) {
    while number >= 0x80 {
        out.put_u8(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
        number >>= 7;
    }
    out.put_u8(u8::try_from(number).unwrap_or(0));
}

/// Whether an answer says SERVING.
fn served(text: &[u8]) -> Result<(), String> {
    let status = match text {
        // proto3 leaves out what is 0.
        [0, 0, 0, 0, 0] => 0,
        [0, 0, 0, 0, 2, STATUS, status] if *status < 0x80 => *status,
        _ => return Err("its answer cannot be read".to_owned()),
    };
    match status {
        1 => Ok(()),
        0 => Err("it answered UNKNOWN".to_owned()),
        2 => Err("it answered NOT_SERVING".to_owned()),
        3 => Err("it answered SERVICE_UNKNOWN".to_owned()),
        other => Err(format!("it answered the unknown health {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_has_them() {
        assert_eq!(message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(message("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = message(&"x".repeat(200));
        assert_eq!((&long[..8], long.len()), (&[0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01][..], 208));
        assert_eq!(served(&[0, 0, 0, 0, 2, 8, 1]), Ok(()));
        for wrong in [&[0, 0, 0, 0, 2, 8, 2][..], &[0, 0, 0, 0, 0], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 2, 8], &[]] {
            assert!(served(wrong).is_err(), "{wrong:?}");
        }
    }
}
