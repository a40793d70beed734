//! A proxy that opens tunnels, all of them to one place.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::origin::read_head;

pub(crate) struct Tunnel {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    pub(crate) async fn to(place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let record = Arc::clone(&record);
                tokio::spawn(async move {
                    let head = read_head(&mut client).await.unwrap();
                    record.lock().unwrap().push(head);
                    let mut server = TcpStream::connect(place).await.unwrap();
                    let open = b"HTTP/1.1 200 Connection established\r\n\r\n";
                    client.write_all(open).await.unwrap();
                    // How it ends is the business of both sides.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Tunnel { address, seen }
    }

    /// The heads of all requests for a tunnel.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}
