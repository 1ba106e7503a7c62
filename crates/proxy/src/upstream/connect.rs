//! Connecting to a node.

use std::io;

use outrigger_engine::upstream::Address;
use tokio::net::TcpStream;

use super::pool::{Link, Place};

/// Opens a connection. Takes as long as it takes.
pub(crate) async fn connect(place: &Place) -> io::Result<Box<Link>> {
    let stream = match &place.address {
        Address::Socket(address) => TcpStream::connect(address).await?,
        Address::Name(name, port) => TcpStream::connect((&**name, *port)).await?,
    };
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    Ok(Box::new(Link::new(stream, peer)))
}
