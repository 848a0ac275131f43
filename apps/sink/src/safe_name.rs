//! A stream's name, which its client chose, as a part of a file's name.

/// Bytes of a name that are kept: with what a template and numbers add, a file's name stays well below the 255 that file systems
/// take.
const BYTES_MAX: usize = 96;

/// What of `name` can be a part of a file's name on any system: letters, digits, `-`, `_` and dots inside it. All else becomes
/// `_`, so that no name leaves its directory, hides its file or means a device. Where nothing is left, `id` stands for it.
pub fn safe_name(name: &str, id: u32) -> String {
    let mut safe = String::new();
    for char in name.chars() {
        let char = if char.is_alphanumeric() || matches!(char, '-' | '.') { char } else { '_' };
        if safe.len() + char.len_utf8() > BYTES_MAX {
            break;
        }
        // Two dots in a row are no danger inside a name, but they look like one.
        if !(matches!(char, '_' | '.') && safe.ends_with(char)) {
            safe.push(char);
        }
    }
    // A dot first hides a file, a dash looks like a flag; a dot last is lost on Windows.
    let safe = safe.trim_start_matches(['.', '-', '_']).trim_end_matches(['.', '_']);
    if safe.is_empty() {
        return format!("{id:08x}");
    }
    if is_device(safe) { format!("_{safe}") } else { safe.to_owned() }
}

/// Names that mean a device on Windows, whatever follows their first dot: files are copied there.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().to_ascii_uppercase();
    let port = stem.strip_prefix("COM").or(stem.strip_prefix("LPT"));
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$")
        || port.is_some_and(|port| port.chars().count() == 1 && port.chars().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(name: &str) -> String {
        safe_name(name, 0x1a2b)
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in ["cam", "Cam-2", "front_left", "v1.2", "Vorderseite-Süd", "相机", "COM10", "console"] {
            assert_eq!(safe(name), name);
        }
    }

    #[test]
    fn a_name_never_leaves_the_directory_nor_hides_nor_means_a_device() {
        for (name, expected) in [
            ("..", "00001a2b"),
            (".", "00001a2b"),
            ("", "00001a2b"),
            ("/", "00001a2b"),
            ("/etc/passwd", "etc_passwd"),
            ("../../root/.ssh/authorized_keys", "root_.ssh_authorized_keys"),
            ("..\\..\\windows", "windows"),
            (".hidden", "hidden"),
            ("-rf", "rf"),
            ("trailing...", "trailing"),
            ("a..b", "a.b"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("lpt1", "_lpt1"),
            ("nul.", "_nul"),
            ("<img src=x onerror=\"alert(1)\">", "img_src_x_onerror_alert_1"),
            ("a\u{0}b\nc\u{7f}d\u{202e}e", "a_b_c_d_e"),
            ("{part} {stream}", "part_stream"),
            ("a:b|c?d*e", "a_b_c_d_e"),
        ] {
            assert_eq!(safe(name), expected, "{name:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(safe(&"🦀".repeat(64)), "00001a2b");
        assert_eq!(safe(&"相".repeat(64)), "相".repeat(32));
        assert_eq!(safe(&"a".repeat(10_000)).len(), BYTES_MAX);
    }

    #[test]
    fn no_character_there_is_makes_a_name_unsafe() {
        for char in '\0'..=char::MAX {
            for name in [safe(&char.to_string()), safe(&format!("a{char}")), safe(&format!("{char}a"))] {
                assert!(!name.is_empty() && name.len() <= BYTES_MAX + 1, "{char:?}");
                assert!(!name.starts_with(['.', '-']) && !name.ends_with('.'), "{char:?} gives {name:?}");
                assert!(name.chars().all(|char| char.is_alphanumeric() || "-_.".contains(char)), "{char:?}");
            }
        }
    }
}
