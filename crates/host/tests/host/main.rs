//! The host against runners on real unix sockets, from honest to hostile.

mod calls;
mod confs;
mod connections;
mod hostile;
mod restart;
mod support;
