//! Dialling: a name to addresses, through the guard unless the host is trusted, to a TCP stream.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
    vec,
};

use http::{Uri, uri::Scheme};
use hyper_util::{
    client::legacy::connect::{
        HttpConnector,
        dns::{GaiResolver, Name},
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower::{Service, ServiceExt};

use super::{
    error::{ErrorKind, Failure, kind_of},
    guard::{Trusted, is_local_name, is_public, literal},
};

pub(super) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Looks a name up.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Connects to trusted hosts wherever they lead, and to others at public addresses only.
#[derive(Clone)]
pub(super) struct Dial {
    trusted: Arc<Trusted>,
    anywhere: HttpConnector<Resolver>,
    public: HttpConnector<Resolver>,
    allow_private: bool,
    refused: Arc<[SocketAddr]>,
}

/// Hands hyper's connector the addresses of a name, only the public ones if it is guarded.
#[derive(Clone)]
struct Resolver {
    lookup: Lookup,
    guarded: bool,
}

// === impl Dial ===

impl Dial {
    pub(super) fn new(
        trusted: Trusted,
        allow_private: bool,
        lookup: Lookup,
        timeout: Option<Duration>,
    ) -> Self {
        let connector = |guarded| {
            let mut http = HttpConnector::new_with_resolver(Resolver {
                lookup: Arc::clone(&lookup),
                guarded,
            });
            // Which schemes there are is decided above, where TLS is known of.
            http.enforce_http(false);
            http.set_nodelay(true);
            http.set_keepalive(Some(Duration::from_secs(60)));
            http.set_connect_timeout(timeout);
            http
        };
        Dial {
            trusted: Arc::new(trusted),
            anywhere: connector(false),
            public: connector(true),
            allow_private,
            refused: Arc::new([]),
        }
    }

    /// Has no part in connections to these sockets of this machine.
    pub(super) fn refusing(mut self, sockets: Vec<SocketAddr>) -> Self {
        self.refused = sockets.into();
        self
    }

    /// The same, for hosts that the operator has named: they may be anywhere.
    pub(super) fn anywhere(mut self) -> Self {
        self.allow_private = true;
        self
    }

    /// Refuses `uri` by its host alone, where somebody else looks it up.
    pub(super) fn judge(&self, uri: &Uri) -> Result<(), Failure> {
        let host = uri.host().unwrap_or_default();
        if self.allow_private || self.trusted.contains(host, port(uri)) {
            return Ok(());
        }
        match literal(host) {
            Some(address) if !is_public(address) => Err(refused(address)),
            None if is_local_name(host) => {
                let what = format!("{host} is no name of the public DNS");
                Err(Failure::new(ErrorKind::Refused, what))
            }
            _ => Ok(()),
        }
    }

    /// The sockets that `uri` may not lead to.
    fn refused(&self, uri: &Uri) -> Arc<[SocketAddr]> {
        match self
            .trusted
            .contains(uri.host().unwrap_or_default(), port(uri))
        {
            true => Arc::new([]),
            false => Arc::clone(&self.refused),
        }
    }

    /// The connector for `uri`. Literals are judged here, because hyper's connector dials them
    /// without asking its resolver.
    fn connector(&self, uri: &Uri) -> Result<HttpConnector<Resolver>, Failure> {
        let host = uri.host().unwrap_or_default();
        if self.allow_private || self.trusted.contains(host, port(uri)) {
            return Ok(self.anywhere.clone());
        }
        match literal(host) {
            Some(address) if !is_public(address) => Err(refused(address)),
            _ => Ok(self.public.clone()),
        }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = Failure;
    type Future = BoxFuture<Result<TokioIo<TcpStream>, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.connector(&uri);
        let not_there = self.refused(&uri);
        Box::pin(async move {
            let stream = connector?.oneshot(uri).await.map_err(|error| {
                // The resolver's own failures lie deeper in the chain than the connector's.
                let kind = match kind_of(&error) {
                    kind @ (ErrorKind::Refused | ErrorKind::Resolve) => kind,
                    _ => ErrorKind::Connect,
                };
                Failure::caused(kind, "dialling failed", error)
            })?;
            if leads_to_one(&not_there, stream.inner()) {
                let what = "that is where this program itself listens";
                return Err(Failure::new(ErrorKind::Refused, what));
            }
            Ok(stream)
        })
    }
}

// === impl Resolver ===

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Failure;
    type Future = BoxFuture<Result<Self::Response, Failure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let guarded = self.guarded;
        let lookup = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = lookup
                .await
                .map_err(|error| Failure::caused(ErrorKind::Resolve, "the lookup failed", error))?;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|address| !guarded || is_public(**address))
                // Port 0 stands for the URI's own.
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            match found.first() {
                None => Err(Failure::new(ErrorKind::Resolve, "the name has no address")),
                Some(first) if allowed.is_empty() => Err(refused(*first)),
                Some(_) => Ok(allowed.into_iter()),
            }
        })
    }
}

/// The system's resolver.
pub(super) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let name = name.parse::<Name>().map_err(io::Error::other)?;
            let found = GaiResolver::new().oneshot(name).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Whether the other side of `stream` is one of these sockets. The two addresses of a connection
/// within one machine are the same, or else both are of the loopback.
fn leads_to_one(sockets: &[SocketAddr], stream: &TcpStream) -> bool {
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else {
        return false;
    };
    let (here, address) = (here.ip().to_canonical(), there.ip().to_canonical());
    let is_local = here == address || address.is_loopback();
    sockets.iter().any(|socket| {
        let listens = socket.ip().to_canonical();
        let at_address = listens == address || (listens.is_unspecified() && is_local);
        socket.port() == there.port() && at_address
    })
}

fn refused(address: IpAddr) -> Failure {
    Failure::new(
        ErrorKind::Refused,
        format!("{address} is not a public address"),
    )
}

fn port(uri: &Uri) -> u16 {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    uri.port_u16().unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn resolved(
        guarded: bool,
        found: &'static [&'static str],
    ) -> Result<Vec<String>, ErrorKind> {
        let addresses: Vec<IpAddr> = found.iter().map(|ip| ip.parse().unwrap()).collect();
        let resolver = Resolver {
            lookup: Arc::new(move |name| {
                assert_eq!(name, "host.example");
                let addresses = addresses.clone();
                Box::pin(async { Ok(addresses) })
            }),
            guarded,
        };
        match resolver.oneshot("host.example".parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.map(|address| address.to_string()).collect()),
            Err(failure) => Err(kind_of(&failure)),
        }
    }

    /// What answers at a private address is not reached by a name that leads there too, or that
    /// leads there the next time. The public address is not reached either: what is sent from
    /// the loopback does not leave the machine.
    #[tokio::test]
    async fn an_answer_is_no_way_in_for_being_mixed_or_for_changing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inside = listener.local_addr().unwrap();
        let answers = ["127.0.0.1 192.0.43.10", "192.0.43.10", "127.0.0.1 ::1"];
        let turn = std::sync::atomic::AtomicUsize::new(0);
        let lookup: Lookup = Arc::new(move |_| {
            let turn = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let answer = answers[turn % answers.len()].split(' ');
            let answer = answer.map(|address| address.parse().unwrap()).collect();
            Box::pin(async move { Ok(answer) })
        });
        let mut trusted = Trusted::default();
        trusted.add("known.example", inside.port());
        let mut dial = Dial::new(trusted, false, lookup, None);
        for connector in [&mut dial.public, &mut dial.anywhere] {
            connector.set_local_address(Some(IpAddr::from([127, 0, 0, 1])));
        }
        for _ in 0..2 {
            for kind in [ErrorKind::Connect, ErrorKind::Connect, ErrorKind::Refused] {
                let uri = format!("http://other.example:{}/", inside.port());
                let dialled = dial.clone().oneshot(uri.parse().unwrap()).await;
                assert_eq!(
                    dialled.map(drop).map_err(|failure| kind_of(&failure)),
                    Err(kind)
                );
            }
        }
        let uri = format!("http://known.example:{}/", inside.port());
        let known = dial.oneshot(uri.parse().unwrap()).await.unwrap();
        // It is the first that was heard of.
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, known.inner().local_addr().unwrap());
    }

    /// Every look-up is judged, and what was judged is what hyper dials: it asks nobody else.
    #[tokio::test]
    async fn a_name_that_was_public_is_refused_when_it_is_not_any_more() {
        let turn = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let resolver = Resolver {
            lookup: Arc::new(move |_| {
                let first = turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                let answer = if first { "192.0.43.10" } else { "127.0.0.1" };
                Box::pin(async move { Ok(vec![answer.parse().unwrap()]) })
            }),
            guarded: true,
        };
        let ask = || resolver.clone().oneshot("host.example".parse().unwrap());
        let first: Vec<_> = ask().await.unwrap().collect();
        assert_eq!(first, ["192.0.43.10:0".parse().unwrap()]);
        assert_eq!(kind_of(&ask().await.unwrap_err()), ErrorKind::Refused);
    }

    #[tokio::test]
    async fn only_the_public_addresses_of_a_name_are_dialled() {
        let mixed = &["127.0.0.1", "192.0.43.10", "::1", "2606:4700::1111"];
        let public = ["192.0.43.10:0", "[2606:4700::1111]:0"];
        assert_eq!(resolved(true, mixed).await.unwrap(), public);
        assert_eq!(resolved(false, mixed).await.unwrap().len(), 4);
        let inside = &["10.0.0.1", "::ffff:192.168.0.1"];
        assert_eq!(resolved(true, inside).await, Err(ErrorKind::Refused));
        assert_eq!(resolved(false, inside).await.unwrap().len(), 2);
        assert_eq!(resolved(true, &[]).await, Err(ErrorKind::Resolve));
        assert_eq!(resolved(false, &[]).await, Err(ErrorKind::Resolve));
    }
}
