use std::os::unix::fs::PermissionsExt;

use rcgen::PublicKeyData;

use super::*;

/// Two files, and the time that passes between two looks at them.
struct Renewed {
    directory: tempfile::TempDir,
    now: Instant,
}

impl Renewed {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), now: Instant::now() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        // As those do that renew certificates: a new file takes the name.
        let (path, new) = (self.path(name), self.path("new"));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn write_pair(&self) -> Pin {
        let (certificate, key) = Identity::generate(&["cam.example".into()]).unwrap();
        self.write("cert.pem", &certificate, 0o644);
        self.write("key.pem", &key, 0o600);
        Identity::from_pem(&certificate, &key).unwrap().pin()
    }

    fn read(&self) -> Result<Identity, IdentityError> {
        Identity::from_files(self.path("cert.pem"), self.path("key.pem"))
    }

    fn pin_after(&mut self, identity: &Identity, millis: u64) -> Pin {
        self.now += Duration::from_millis(millis);
        identity.current(self.now).pin
    }
}

#[test]
fn what_is_made_is_read_again_and_its_pin_is_that_of_its_key() {
    let (certificate, key) = Identity::generate(&["cam.example".into(), "192.168.7.2".into(), "::1".into()]).unwrap();
    let identity = Identity::from_pem(&certificate, &key).unwrap();
    let spki = KeyPair::from_pem(&key).unwrap().subject_public_key_info();
    assert_eq!(identity.pin(), Pin::of_public_key(&spki));
    let again = Identity::generate(&["cam.example".into()]).unwrap();
    assert_ne!(Identity::from_pem(&again.0, &again.1).unwrap().pin(), identity.pin());
    let shown = format!("{identity:?}");
    assert!(shown.contains(&identity.pin().to_string()) && !shown.contains("PRIVATE"), "{shown}");
    let error = Identity::generate(&["no name é".into()]).unwrap_err();
    assert!(matches!(error, IdentityError::Names(_)) && error.to_string().contains("cam.example"), "{error}");
}

#[test]
fn files_are_looked_at_once_a_second_and_a_new_pair_is_taken() {
    let mut files = Renewed::new();
    let first = files.write_pair();
    let identity = files.read().unwrap();
    files.now = Instant::now();
    assert_eq!(identity.pin(), first);
    let second = files.write_pair();
    assert_eq!(files.pin_after(&identity, 0), first, "too soon to look");
    assert_eq!(files.pin_after(&identity, 1_000), second);
    assert_eq!(identity.pin(), second);
}

#[test]
fn a_new_pair_that_cannot_be_used_leaves_the_old_one_until_one_can() {
    let mut files = Renewed::new();
    let first = files.write_pair();
    let identity = files.read().unwrap();
    files.now = Instant::now();
    let (certificate, key) = Identity::generate(&["cam.example".into()]).unwrap();
    // The certificate is there before its key.
    files.write("cert.pem", &certificate, 0o644);
    assert_eq!(files.pin_after(&identity, 1_000), first);
    files.write("key.pem", "", 0o600);
    assert_eq!(files.pin_after(&identity, 1_000), first);
    fs::remove_file(files.path("key.pem")).unwrap();
    assert_eq!(files.pin_after(&identity, 1_000), first);
    files.write("key.pem", &key, 0o644);
    assert_eq!(files.pin_after(&identity, 1_000), first, "everyone reads it");
    files.write("key.pem", &key, 0o600);
    let second = files.pin_after(&identity, 1_000);
    assert_eq!(second, Identity::from_pem(&certificate, &key).unwrap().pin());
}

#[test]
fn each_pair_that_is_none_is_named_with_what_to_do() {
    let files = Renewed::new();
    files.write_pair();
    let read = |path: &str| fs::read_to_string(files.path(path)).unwrap();
    let (certificate, key) = (read("cert.pem"), read("key.pem"));
    let (other, _) = Identity::generate(&["cam.example".into()]).unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let huge = certificate.repeat(200);
    for (certificate, key, mode, says) in [
        (other.as_str(), key.as_str(), 0o600, "key.pem is not that of the certificate in"),
        (&key, &key, 0o600, "cert.pem holds no certificate"),
        ("", &key, 0o600, "cert.pem holds no certificate"),
        (broken, &key, 0o600, "have them made anew"),
        (&huge, &key, 0o600, "more than 65536 bytes"),
        (&certificate, &certificate, 0o600, "key.pem holds no private key"),
        (&certificate, "", 0o600, "key.pem holds no private key"),
        (&certificate, &key, 0o644, "run: chmod 600"),
    ] {
        files.write("cert.pem", certificate, 0o644);
        files.write("key.pem", key, mode);
        let error = files.read().unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        let secret = read("key.pem");
        assert!(!secret.lines().any(|line| line.len() > 40 && error.contains(line)), "{error}");
    }
    // A certificate without its key, and a key without its certificate.
    for missing in ["key.pem", "cert.pem"] {
        files.write_pair();
        fs::remove_file(files.path(missing)).unwrap();
        let error = files.read().unwrap_err().to_string();
        assert!(error.contains(missing) && error.contains("cannot be read"), "{error}");
    }
}
