//! What stands for the password once it was given, as not every browser repeats that when it opens a WebSocket.
//!
//! A pass is a cookie of one login: its end, a random number and a keyed hash of both and of the port. Nothing is kept, and none
//! outlives the server. Cookies know no ports, so its name has the port, lest servers of one host overwrite each other's. Over TLS
//! its name begins with `__Host-`, by which browsers keep one from any other place out.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use framewire_process::exit::Failure;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A browser gives the password again by itself, and gets another.
const LIFETIME: Duration = Duration::from_secs(12 * 3600);
const END_LEN: usize = 8;
const NONCE_LEN: usize = 16;
const MAC_LEN: usize = 32;

/// Makes passes and knows them again.
pub(super) struct Passes {
    keyed: Hmac<Sha256>,
    over_tls: bool,
}

impl Passes {
    /// Those of a server that speaks TLS (`over_tls`) are sent over nothing else.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn new(over_tls: bool) -> Result<Self, Failure> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)
            .map_err(|error| Failure::runtime(format!("no random numbers for the page: {error}")))?;
        Ok(Self { keyed: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"), over_tls })
    }

    /// A cookie for somebody who has just logged in.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) fn issue(&self, port: u16, now: SystemTime) -> Result<HeaderValue, getrandom::Error> {
        let mut pass = [0; END_LEN + NONCE_LEN + MAC_LEN];
        let (said, mac) = pass.split_at_mut(END_LEN + NONCE_LEN);
        said[..END_LEN].copy_from_slice(&(seconds(now) + LIFETIME.as_secs()).to_be_bytes());
        getrandom::fill(&mut said[END_LEN..])?;
        mac.copy_from_slice(&self.mac(said, port).finalize().into_bytes());
        let (name, pass) = (self.name(port), URL_SAFE_NO_PAD.encode(pass));
        let secure = if self.over_tls { "; Secure" } else { "" };
        let cookie = format!("{name}={pass}; Path=/; HttpOnly; SameSite=Strict{secure}");
        Ok(HeaderValue::from_str(&cookie).expect("letters, digits and these signs fit a header"))
    }

    /// Whether a request has a pass for this port that has not ended.
    pub(super) fn is_in(&self, headers: &HeaderMap, port: u16, now: SystemTime) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
        let mut values =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let name = self.name(port);
        values.any(|(named, pass)| named == name && self.is_good(pass, port, now))
    }

    fn is_good(&self, pass: &str, port: u16, now: SystemTime) -> bool {
        let Ok(pass) = URL_SAFE_NO_PAD.decode(pass) else { return false };
        let Some((said, mac)) = pass.split_at_checked(END_LEN + NONCE_LEN) else { return false };
        let Some(end) = said.first_chunk::<END_LEN>() else { return false };
        // Compares in constant time.
        self.mac(said, port).verify_slice(mac).is_ok() && seconds(now) < u64::from_be_bytes(*end)
    }

    fn name(&self, port: u16) -> String {
        format!("{}framewire-pass-{port}", if self.over_tls { "__Host-" } else { "" })
    }

    fn mac(&self, said: &[u8], port: u16) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        mac.update(&port.to_be_bytes());
        mac.update(said);
        mac
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent_back(cookie: &HeaderValue) -> HeaderMap {
        let pass = cookie.to_str().unwrap().split(';').next().unwrap();
        [(header::COOKIE, format!("a=b; {pass}").parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_pass_is_good_for_its_server_and_port_until_its_end_and_each_login_has_its_own() {
        let (passes, now) = (Passes::new(false).unwrap(), SystemTime::now());
        let cookie = passes.issue(8080, now).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with("framewire-pass-8080=") && text.ends_with("; Path=/; HttpOnly; SameSite=Strict"));
        assert_ne!(cookie, passes.issue(8080, now).unwrap());
        let headers = sent_back(&cookie);
        assert!(passes.is_in(&headers, 8080, now));
        assert!(!passes.is_in(&headers, 8080, now + LIFETIME), "it has ended");
        assert!(!passes.is_in(&headers, 8081, now), "of another port");
        let renamed = text.replacen("8080", "8081", 1).parse().unwrap();
        assert!(!passes.is_in(&sent_back(&renamed), 8081, now), "nor by another name");
        assert!(!Passes::new(false).unwrap().is_in(&headers, 8080, now), "of another run of the server");
    }

    #[test]
    fn over_tls_a_pass_is_of_that_host_and_sent_over_tls_alone() {
        let (passes, now) = (Passes::new(true).unwrap(), SystemTime::now());
        let cookie = passes.issue(8080, now).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.starts_with("__Host-framewire-pass-8080="), "{text}");
        assert!(text.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"), "{text}");
        assert!(passes.is_in(&sent_back(&cookie), 8080, now));
        let renamed = text.replacen("__Host-", "", 1).parse().unwrap();
        assert!(!passes.is_in(&sent_back(&renamed), 8080, now), "nor by the name that a plain page can set");
    }

    #[test]
    fn what_is_no_pass_opens_nothing() {
        let (passes, now) = (Passes::new(false).unwrap(), SystemTime::now());
        let good = passes.issue(1, now).unwrap();
        let good = good.to_str().unwrap().split([';', '=']).nth(1).unwrap();
        assert!(passes.is_good(good, 1, now));
        for len in 0..good.len() {
            assert!(!passes.is_good(&good[..len], 1, now));
        }
        let mut forged = URL_SAFE_NO_PAD.decode(good).unwrap();
        for at in 0..forged.len() {
            forged[at] ^= 1;
            assert!(!passes.is_good(&URL_SAFE_NO_PAD.encode(&forged), 1, now), "byte {at}");
            forged[at] ^= 1;
        }
        assert!(!passes.is_in(&HeaderMap::new(), 1, now));
    }
}
