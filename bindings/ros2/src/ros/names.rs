//! Names of topics and nodes, as ROS 2 takes them, and as they are called in DDS.

use std::fmt;
use std::str::FromStr;

/// The whole name of a topic, such as `/front/image_raw`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TopicName(String);

impl TopicName {
    /// One under a namespace, which is empty or begins with `/`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn within(namespace: &str, name: &str) -> Result<Self, String> {
        format!("{namespace}/{name}").parse()
    }

    /// The topic's name in DDS.
    pub(crate) fn in_dds(&self) -> String {
        format!("rt{}", self.0)
    }

    /// What a stream of its images is called: its last names without `image_raw`, such as `camera`, or `left_camera` of `/left/camera/image_raw`.
    pub(crate) fn stream_name(&self) -> String {
        let name = self.0.strip_suffix("/image_raw").filter(|name| !name.is_empty()).unwrap_or(&self.0);
        name[1..].replace('/', "_")
    }

    /// The topic of this name beside it: `/front/camera_info` beside `/front/image_raw`.
    pub(crate) fn beside(&self, name: &str) -> Self {
        let at = self.0.rfind('/').unwrap_or_default();
        Self(format!("{}/{name}", &self.0[..at]))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TopicName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, "topic", "/front/image_raw")?;
        Ok(Self(text.to_owned()))
    }
}

/// A namespace: empty, or one or more names, each behind a `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// As a beginning of names.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

impl FromStr for Namespace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = if text.starts_with('/') { text.to_owned() } else { format!("/{text}") };
        if text == "/" {
            return Ok(Self::default());
        }
        check(&text, "namespace", "/robot1")?;
        Ok(Self(text))
    }
}

/// The name of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeName(String);

impl NodeName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NodeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match is_token(text) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!(
                "'{}' cannot be the name of a node; use letters, digits and '_', and no digit first, such as framewire",
                shown(text)
            )),
        }
    }
}

/// Longer names are no DDS names on every middleware.
const NAME_MAX: usize = 240;

fn check(text: &str, what: &str, such_as: &str) -> Result<(), String> {
    let wrong = |why: &str| {
        Err(format!("'{}' cannot be the name of a {what}: {why}; write it whole, such as {such_as}", shown(text)))
    };
    let Some(tokens) = text.strip_prefix('/') else { return wrong("it does not begin with '/'") };
    if text.len() > NAME_MAX {
        return wrong(&format!("it has {} bytes, and {NAME_MAX} are the most", text.len()));
    }
    if tokens.split('/').any(str::is_empty) {
        return wrong("between two '/', and behind the last, there is a name");
    }
    if !tokens.split('/').all(is_token) {
        return wrong("ROS knows letters, digits and single '_' in names, and no digit first");
    }
    Ok(())
}

fn is_token(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
        && !text.contains("__")
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_names_between_slashes_and_have_others_beside_them() {
        let topic: TopicName = "/front/image_raw".parse().unwrap();
        assert_eq!(
            (topic.in_dds(), topic.beside("camera_info").to_string()),
            ("rt/front/image_raw".into(), "/front/camera_info".into())
        );
        assert_eq!("/image".parse::<TopicName>().unwrap().beside("camera_info").to_string(), "/camera_info");
        assert_eq!(TopicName::within("/robot1", "front/image_raw").unwrap().to_string(), "/robot1/front/image_raw");
        for (topic, stream) in
            [("/image_raw", "image_raw"), ("/left/camera/image_raw", "left_camera"), ("/camera/color", "camera_color")]
        {
            assert_eq!(topic.parse::<TopicName>().unwrap().stream_name(), stream);
        }
        assert_eq!(TopicName::within("", "front/image_raw"), Ok(topic));
    }

    #[test]
    fn what_is_no_name_is_refused_with_why_and_what_one_looks_like() {
        let long = format!("/{}", "a".repeat(NAME_MAX));
        for (wrong, why) in [
            ("", "does not begin with '/'"),
            ("image", "does not begin with '/'"),
            ("/", "there is a name"),
            ("/a/", "there is a name"),
            ("/a//b", "there is a name"),
            ("/1st", "no digit first"),
            ("/a__b", "single '_'"),
            ("/a-b", "letters, digits"),
            ("/{node}/a", "letters, digits"),
            ("~/a", "does not begin with '/'"),
            ("/a\u{1b}[2J", "letters, digits"),
            (&long, "are the most"),
        ] {
            let error = wrong.parse::<TopicName>().unwrap_err();
            assert!(error.contains(why) && error.contains("such as /front/image_raw"), "{wrong}: {error}");
            assert!(!error.contains('\u{1b}'));
        }
    }

    #[test]
    fn a_namespace_may_be_nothing_and_need_not_begin_with_a_slash() {
        for (text, is) in [("", ""), ("/", ""), ("robot1", "/robot1"), ("/a/b", "/a/b")] {
            assert_eq!(text.parse::<Namespace>().unwrap().as_str(), is);
        }
        assert!("/a/".parse::<Namespace>().is_err() && "two words".parse::<Namespace>().is_err());
        assert!(
            "framewire".parse::<NodeName>().is_ok()
                && "a/b".parse::<NodeName>().is_err()
                && "".parse::<NodeName>().is_err()
        );
    }
}
