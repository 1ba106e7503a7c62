//! The way to the upstream and back: choosing a node, connecting or taking a
//! connection that is idle, sending, and trying again where that is safe.

mod attempt;
mod bell;
mod link;
mod pool;
mod response_body;

pub(crate) use attempt::ask;
pub(crate) use pool::Pool;
