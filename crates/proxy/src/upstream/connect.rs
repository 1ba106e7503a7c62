//! Connecting to a node. Speaking TLS counts as part of it.

use std::io;
use std::net::IpAddr;

use outrigger_engine::upstream::Address;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::names::Names;
use super::pool::{Link, Place};
use super::stream::Stream;
use super::tls::TlsClients;

/// Opens a connection. Takes as long as it takes.
pub(crate) async fn connect(
    place: &Place,
    tls: &TlsClients,
    names: &Names,
) -> io::Result<Box<Link>> {
    let stream = match &place.address {
        Address::Socket(address) => TcpStream::connect(address).await?,
        Address::Name(name, port) => to_any(&names.addresses(name).await?, *port).await?,
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

/// Connects to the first of these addresses that takes it.
async fn to_any(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut refused = io::Error::other("there is no address");
    for address in addresses {
        match TcpStream::connect((*address, port)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
