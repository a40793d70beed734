//! A network between larder and a Redis, which can fail.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{Semaphore, broadcast},
};

/// Passes connections on to Redis until something is done to them; later ones work.
pub(crate) struct Relay {
    port: u16,
    fate: broadcast::Sender<Fate>,
    /// The bytes that Redis may yet answer.
    answers: Arc<Semaphore>,
}

#[derive(Clone, Copy)]
enum Fate {
    Freeze,
    Reset,
    ResetMidway,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            fate: broadcast::channel(1).0,
            answers: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        };
        let (fates, answers) = (relay.fate.clone(), Arc::clone(&relay.answers));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut fate = fates.subscribe();
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let (mut asks, mut hears) = client.split();
                    let (mut replies, mut told) = server.split();
                    tokio::select! {
                        _ = copy(&mut asks, &mut told) => {}
                        () = answer(&mut replies, &mut hears, &answers) => {}
                        fate = fate.recv() => match fate {
                            Ok(Fate::Reset) => client.set_zero_linger().unwrap(),
                            Ok(Fate::ResetMidway) => reset_midway(client, server).await,
                            _ => std::future::pending().await,
                        }
                    }
                });
            }
        });
        relay
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// As when the network forgets connections: they are open, and nothing comes through.
    pub(crate) fn freeze(&self) {
        let _ = self.fate.send(Fate::Freeze);
    }

    /// Breaks them in the middle of the next reply.
    pub(crate) fn reset_midway(&self) {
        let _ = self.fate.send(Fate::ResetMidway);
    }

    /// Lets Redis answer so many bytes, and then no more.
    pub(crate) fn withhold_after(&self, bytes: usize) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
        self.answers.add_permits(bytes);
    }

    /// Lets everything through again.
    pub(crate) fn let_through(&self) {
        let left = self.answers.forget_permits(Semaphore::MAX_PERMITS);
        self.answers.add_permits(Semaphore::MAX_PERMITS - left);
    }

    /// Breaks them.
    pub(crate) fn reset(&self) {
        let _ = self.fate.send(Fate::Reset);
    }
}

async fn reset_midway(mut client: TcpStream, mut server: TcpStream) {
    let (mut asked, mut reply) = ([0; 4096], [0; 4096]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => match read {
                Ok(count @ 1..) => server.write_all(&asked[..count]).await.unwrap(),
                _ => return,
            },
            read = server.read(&mut reply) => {
                let half = read.unwrap_or_default() / 2;
                let _ = client.write_all(&reply[..half]).await;
                let _ = client.set_zero_linger();
                return;
            }
        }
    }
}

/// Passes on what Redis answers, as far as it may.
async fn answer(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, may: &Semaphore) {
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        for piece in buffer[..read].chunks(512) {
            may.acquire_many(piece.len() as u32).await.unwrap().forget();
            if to.write_all(piece).await.is_err() {
                return;
            }
        }
    }
}
