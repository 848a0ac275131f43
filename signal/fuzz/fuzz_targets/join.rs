//! Join strings, keys of servers and tokens as somebody pastes them: what is read is written the same again, and what is wrong with one is said
//! without any of it.
#![no_main]

use framewire_signal::{Join, Pin, Token};
use libfuzzer_sys::fuzz_target;

const TOKEN: &str = "AAECAwQFBgcICQoLDA0ODw";

fuzz_target!(|text: &str| {
    read(text);
    // Left to itself the fuzzer finds no whole one.
    let pin = "B".repeat(43);
    read(&format!("framewire://{text}#{TOKEN}.{pin}"));
    read(&format!("framewire://camera.example:8080#{text}"));
    read(&format!("framewire://[::1]:8080#{TOKEN}{text}{pin}"));
    if let Ok(pin) = text.parse::<Pin>() {
        assert_eq!(pin.to_string(), text.trim());
    }
    let _ = Token::new(text);
});

fn read(text: &str) {
    match text.parse::<Join>() {
        Ok(join) => {
            let again: Join = join.to_text().parse().expect("what is written can be read");
            assert_eq!(again.to_text(), join.to_text());
            // Word for word, since the host may be any name, also the token's.
            assert_eq!(
                format!("{join:?}"),
                format!("Join(framewire://{}#…)", join.authority()),
                "more is shown than where"
            );
        }
        Err(error) => assert!(!error.to_string().contains(TOKEN), "{error}"),
    }
}
