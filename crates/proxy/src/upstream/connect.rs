//! Connecting to a node. Speaking TLS counts as part of it.

use std::io;

use outrigger_engine::upstream::Address;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::pool::{Link, Place};
use super::stream::Stream;
use super::tls::TlsClients;

/// Opens a connection. Takes as long as it takes.
pub(crate) async fn connect(place: &Place, tls: &TlsClients) -> io::Result<Box<Link>> {
    let stream = match &place.address {
        Address::Socket(address) => TcpStream::connect(address).await?,
        Address::Name(name, port) => TcpStream::connect((&**name, *port)).await?,
    };
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let stream = match &place.tls {
        None => Stream::Plain(stream),
        Some(secured) => {
            let name = secured.server_name(peer.ip());
            let connector = TlsConnector::from(tls.config(secured).map_err(io::Error::other)?);
            Stream::Tls(Box::new(connector.connect(name, stream).await?))
        }
    };
    Ok(Box::new(Link::new(stream, peer)))
}
