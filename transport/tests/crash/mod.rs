//! What is killed and stopped, and what others then see: programs that play a hub, a reader or a sender, and frames that show when they are
//! torn.

pub(crate) mod children;
pub(crate) mod parties;
pub(crate) mod roles;
pub(crate) mod stamped;
