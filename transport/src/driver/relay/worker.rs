//! A relay's thread.

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::config::RelayConfig;
use super::post::Post;
use crate::driver::threads::stay_on;

/// Starts it.
pub(super) fn start(post: Arc<Post>, config: &RelayConfig) -> io::Result<JoinHandle<()>> {
    let config = config.clone();
    Builder::new().name("framewire-relay".into()).spawn(move || {
        stay_on(config.threads.cpus.as_ref());
        let mut tasks = Vec::new();
        while !post.is_stopping() {
            post.waker().sleep(Duration::from_secs(1));
            post.take(&mut tasks);
        }
    })
}
