//! A network between larder and a Redis, which can fail.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::broadcast,
};

/// Passes connections on to Redis until something is done to them; later ones work.
pub(crate) struct Relay {
    port: u16,
    fate: broadcast::Sender<Fate>,
}

#[derive(Clone, Copy)]
enum Fate {
    Freeze,
    Reset,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            fate: broadcast::channel(1).0,
        };
        let fates = relay.fate.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut fate = fates.subscribe();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        fate = fate.recv() => match fate {
                            Ok(Fate::Reset) => client.set_zero_linger().unwrap(),
                            _ => std::future::pending().await,
                        }
                    }
                });
            }
        });
        relay
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As when the network forgets connections: they are open, and nothing comes through.
    pub(crate) fn freeze(&self) {
        let _ = self.fate.send(Fate::Freeze);
    }

    /// Breaks them.
    pub(crate) fn reset(&self) {
        let _ = self.fate.send(Fate::Reset);
    }
}
