//! How each server is started.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    kit::{
        Failure,
        process::{Process, free_address, on_cores},
    },
    settings::{SERVER, Settings},
};

/// Starts servers in front of one origin.
pub(crate) struct Starter<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) origin: SocketAddr,
}

/// Whom larder is compared with, where it is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    HAProxy,
    Nginx,
    Varnish,
}

pub(crate) const PEERS: [Peer; 3] = [Peer::HAProxy, Peer::Nginx, Peer::Varnish];

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::HAProxy => "HAProxy",
            Peer::Nginx => "nginx",
            Peer::Varnish => "Varnish",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Peer::HAProxy => "haproxy",
            Peer::Nginx => "nginx",
            Peer::Varnish => "varnishd",
        }
    }

    /// Where it is; Debian keeps servers where only root looks.
    fn path(self) -> Option<PathBuf> {
        let path = std::env::var("PATH").unwrap_or_default();
        let places = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
        let mut places = places.map(|place| Path::new(place).join(self.program()));
        places.find(|place| place.is_file())
    }

    /// What it says of its version.
    pub(crate) fn version(self) -> Option<String> {
        let flag = if self == Peer::Varnish { "-V" } else { "-v" };
        let said = Command::new(self.path()?).arg(flag).output().ok()?;
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines().next().map(str::to_owned)
    }
}

impl Starter<'_> {
    /// hyper alone, with constants.
    pub(crate) fn bare(&self, cores: &str) -> Result<Process, Failure> {
        self.start(cores, "examples/bare", |command, address| {
            command.arg(address.to_string());
        })
    }

    /// hyper's server and client, with nothing between them.
    pub(crate) fn bare_proxy(&self) -> Result<Process, Failure> {
        self.start(SERVER, "examples/bare", |command, address| {
            let origin = format!("http://{}", self.origin);
            command.args([address.to_string(), origin]);
        })
    }

    pub(crate) fn larder(&self, cores: &str, args: &[&str]) -> Result<Process, Failure> {
        self.start(cores, "larder", |command, address| {
            command.arg(format!("--port={}", address.port()));
            command.arg(format!("--origin=http://{}", self.origin));
            command.arg("--log=warn").args(args);
        })
    }

    /// larder with an access log, and the file of that.
    pub(crate) fn logging(&self) -> Result<(Process, PathBuf), Failure> {
        let path = self.settings.scratch.join("access.log");
        let file = File::create(&path)?;
        let larder = self.start(SERVER, "larder", move |command, address| {
            command.arg(format!("--port={}", address.port()));
            command.arg(format!("--origin=http://{}", self.origin));
            command.args(["--log=info", "--log-format=json"]);
            command.stderr(Stdio::from(file));
        })?;
        Ok((larder, path))
    }

    /// `None` where it is not installed.
    pub(crate) fn peer(&self, peer: Peer) -> Result<Option<Process>, Failure> {
        let Some(program) = peer.path() else {
            return Ok(None);
        };
        let address = free_address()?;
        let mut command = on_cores(Some(SERVER), &program.to_string_lossy());
        let dir = &self.settings.scratch;
        match peer {
            Peer::Nginx => {
                let conf = self.file("nginx.conf", include_str!("peers/nginx.conf"), address)?;
                command.arg("-p").arg(dir).arg("-c").arg(conf);
            }
            Peer::HAProxy => {
                let cfg = self.file("haproxy.cfg", include_str!("peers/haproxy.cfg"), address)?;
                command.args(["-db", "-f"]).arg(cfg);
            }
            Peer::Varnish => {
                let vcl = self.file("varnish.vcl", include_str!("peers/varnish.vcl"), address)?;
                command.arg("-F").arg("-f").arg(vcl);
                command.arg("-n").arg(dir.join("varnish"));
                command.args(["-s", "malloc,1g", "-T", "none"]);
                command.args(["-a", &address.to_string()]);
                command.stderr(Stdio::null());
            }
        }
        Process::start(command, address).map(Some)
    }

    fn start(
        &self,
        cores: &str,
        program: &str,
        tell: impl FnOnce(&mut Command, SocketAddr),
    ) -> Result<Process, Failure> {
        let program = self.settings.release.join(program);
        let address = free_address()?;
        let mut command = on_cores(Some(cores), &program.to_string_lossy());
        tell(&mut command, address);
        Process::start(command, address)
    }

    /// A configuration, with this origin and address in it.
    fn file(&self, name: &str, text: &str, address: SocketAddr) -> Result<PathBuf, Failure> {
        let dir = &self.settings.scratch;
        let text = text
            .replace("@DIR@", &dir.to_string_lossy())
            .replace("@ADDRESS@", &address.to_string())
            .replace("@ORIGIN@", &self.origin.to_string())
            .replace("@ORIGIN_HOST@", &self.origin.ip().to_string())
            .replace("@ORIGIN_PORT@", &self.origin.port().to_string());
        let path = dir.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }
}
