//! The A6 external-plugin protocol: frames and messages, without I/O.
