//! What the client that opened a stream is told of it, and told again when it comes back.

use crate::message::{Grant, Idle, Replaced};

/// One thing to tell.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum News {
    Idle(Idle),
    Grant(Grant),
    Replaced(Replaced),
}

impl News {
    pub(super) fn stream(&self) -> u32 {
        match self {
            Self::Idle(idle) => idle.stream,
            Self::Grant(grant) => grant.stream,
            Self::Replaced(replaced) => replaced.stream,
        }
    }
}

/// The newest of each.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Latest {
    idle: Option<Idle>,
    grant: Option<Grant>,
    replaced: Option<Replaced>,
}

impl Latest {
    pub(super) fn note(&mut self, news: News) {
        match news {
            News::Idle(idle) => self.idle = Some(idle),
            News::Grant(grant) => self.grant = Some(grant),
            News::Replaced(replaced) => self.replaced = Some(replaced),
        }
    }

    /// These, where there is none that is newer.
    pub(super) fn or(self, older: Self) -> Self {
        Self {
            idle: self.idle.or(older.idle),
            grant: self.grant.or(older.grant),
            replaced: self.replaced.or(older.replaced),
        }
    }

    /// The stream has its name to itself.
    pub(super) fn is_newest(&mut self) {
        self.replaced = None;
    }

    /// Without a grant, for one that `opened` says anew.
    pub(super) fn without_grant(self) -> Self {
        Self { grant: None, ..self }
    }

    /// What who has just opened the stream does not know: that it is wanted goes without saying.
    pub(super) fn to_tell(&self) -> Vec<News> {
        Self { idle: self.idle.filter(|idle| idle.idle), ..self.clone() }.into_news()
    }

    /// All of it, each as one thing to tell.
    pub(super) fn into_news(self) -> Vec<News> {
        let news = [self.idle.map(News::Idle), self.grant.map(News::Grant), self.replaced.map(News::Replaced)];
        news.into_iter().flatten().collect()
    }
}
