//! What all messages have in common.

use crate::RpcType;

/// A message of the protocol. Implemented by the messages of this crate only.
pub trait Message: sealed::Sealed {
    /// The type of the frames that carry it.
    const TYPE: RpcType;
    /// Its name in the protocol's schema, for errors and logs.
    const NAME: &'static str;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Implements [`Message`] for a message type.
macro_rules! message {
    ($message:ty, $ty:ident, $name:literal) => {
        impl $crate::message::sealed::Sealed for $message {}

        impl $crate::Message for $message {
            const TYPE: $crate::RpcType = $crate::RpcType::$ty;
            const NAME: &'static str = $name;
        }
    };
}

pub(crate) use message;
