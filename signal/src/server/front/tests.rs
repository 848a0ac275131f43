use super::*;
use crate::server::Identity;
use std::time::Instant as Clock;
use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::{Instant, sleep};

fn config() -> Arc<ServerConfig> {
    let (certificate, key) = Identity::generate(&["cam.example".into()]).unwrap();
    Identity::from_pem(&certificate, &key).unwrap().current(Clock::now()).config.clone()
}

/// What becomes of a connection that begins with these bytes, and says nothing more.
async fn outcome(bytes: &[u8]) -> io::Result<&'static str> {
    let (near, mut far) = duplex(64 * 1024);
    far.write_all(bytes).await.unwrap();
    let entered = enter(near, config()).await;
    entered.map(|entered| match entered {
        Entered::Protected(_) => "TLS",
        Entered::Plain(_) => "HTTP",
    })
}

#[test]
fn the_first_byte_says_what_is_spoken() {
    assert_eq!(Speech::of(0x16), Speech::Tls);
    for method in ["GET", "POST", "OPTIONS", "PRI * HTTP/2.0"] {
        assert_eq!(Speech::of(method.as_bytes()[0]), Speech::Http, "{method}");
    }
    // Alerts, data and renegotiation begin nothing; nor does SSL 2, SSH's greeting in lower case, or a zero.
    for other in [0x00, 0x14, 0x15, 0x17, 0x80, b's', b'\r', b' ', 0xff] {
        assert_eq!(Speech::of(other), Speech::Unknown, "{other:#x}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_is_not_ended_ends_after_five_seconds() {
    let hello = &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    for said in [&hello[..], &hello[..1], &[]] {
        let begun = Instant::now();
        let error = outcome(said).await.err().unwrap();
        assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, HANDSHAKE_TIMEOUT), "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_byte_now_and_then_has_no_longer() {
    let (near, mut far) = duplex(64);
    let slow = async {
        for byte in [0x16, 3, 1, 0x20, 0, 1, 0, 0x1f, 0xfc] {
            if far.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        // It stays.
        std::future::pending::<()>().await;
    };
    let begun = Instant::now();
    let error = tokio::select! {
        entered = enter(near, config()) => entered.err().unwrap(),
        () = slow => unreachable!(),
    };
    assert_eq!((error.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, HANDSHAKE_TIMEOUT));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_handshake_ends_at_once_and_http_is_let_through_to_its_answer() {
    let begun = Instant::now();
    // Alert, data, SSL 2, a record of a length that none has, one that is no hello, text.
    let strange: [&[u8]; 6] = [
        b"\x15\x03\x03\0\x02\x02\x28",
        b"\x17\x03\x03\0\x05hello",
        b"\x80\x2e\x01",
        b"\x16\x03\x01\xff\xff\0",
        b"\x16\x03\x03\0\x04\x02\0\0\0",
        b"hello",
    ];
    for bytes in strange {
        let error = outcome(bytes).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}: {error}");
    }
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        assert_eq!(outcome(bytes.as_bytes()).await.unwrap(), "HTTP");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_of_no_end_is_read_so_far_and_no_further() {
    // One message in as many records as it takes: its length says 64 KiB less one.
    let mut hello = vec![0x16, 3, 1, 0x10, 0, 1, 0, 0xff, 0xff];
    hello.resize(5 + 0x1000, 7);
    let record = [&[0x16, 3, 1, 0x10, 0][..], &[7; 0x1000]].concat();
    let flood: Vec<u8> = hello.into_iter().chain(record.repeat(11)).collect();
    let error = outcome(&flood).await.err().unwrap();
    assert!(error.to_string().contains("more than 16384 bytes"), "{error}");
}
