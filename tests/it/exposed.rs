//! The program where it is exposed: tokens, certificates that change, and no rights at all.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, version::TLS13};

use crate::{
    cli::{Running, larder, next_event, output},
    support::certificate::Certificate,
};

const TOKEN: &str = "correct-horse-battery";

/// A connection with TLS.
struct Secure(StreamOwned<ClientConnection, TcpStream>);

impl Secure {
    /// `None` where `client` does not trust what it is shown.
    fn connect(running: &Running, client: Arc<ClientConfig>) -> Option<Secure> {
        let mut stream = TcpStream::connect(&running.address).unwrap();
        let name = "localhost".try_into().unwrap();
        let mut connection = ClientConnection::new(client, name).unwrap();
        connection.complete_io(&mut stream).ok()?;
        Some(Secure(StreamOwned::new(connection, stream)))
    }

    fn is_served(&mut self) -> bool {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        self.0.write_all(request).unwrap();
        let mut heard = String::new();
        while !heard.ends_with('}') {
            let mut piece = [0; 1024];
            let count = self.0.read(&mut piece).unwrap();
            heard.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        heard.starts_with("HTTP/1.1 200")
    }
}

fn says(running: &mut Running, what: &str) -> String {
    loop {
        let event = next_event(&mut running.log).expect("it ended");
        let event = event.to_string();
        if event.contains(what) {
            return event;
        }
    }
}

#[test]
fn a_certificate_is_exchanged_without_dropping_connections() {
    let certificate = Certificate::new();
    let flags = certificate.flags();
    let mut running = Running::start(&flags.each_ref().map(String::as_str));
    let client = || certificate.client(&[&TLS13], &[]);
    let (first, mut held) = (client(), Secure::connect(&running, client()).unwrap());
    assert!(held.is_served());

    certificate.renew();
    running.signal("-HUP");
    says(&mut running, "certificate read anew");
    assert!(held.is_served());
    assert!(Secure::connect(&running, first).is_none());
    let second = client();
    assert!(
        Secure::connect(&running, second.clone())
            .unwrap()
            .is_served()
    );

    certificate.put("key.pem", "no key");
    running.signal("-HUP");
    let said = says(&mut running, "the one in use stays");
    assert!(said.contains("key.pem") && said.contains("ERROR"), "{said}");
    assert!(held.is_served());
    assert!(Secure::connect(&running, second).unwrap().is_served());
}

#[test]
fn clearing_shows_the_token_and_knows_the_certificate() {
    let (certificate, other) = (Certificate::new(), Certificate::new());
    let [cert, key] = certificate.flags();
    let running = Running::start(&[&cert, &key, "--admin-token", TOKEN]);
    let port = running.address.rsplit(':').next().unwrap();
    let clear = |flags: &[&str], token: Option<&str>| {
        let flags = [&["--clear-cache", "--port", port], flags].concat();
        output(larder(&flags).envs(token.map(|token| ("ADMIN_TOKEN", token))))
    };
    let (status, out, err) = clear(&[&cert, &key], Some(TOKEN));
    assert_eq!(
        (status, out.trim()),
        (0, "Cache cleared successfully"),
        "{err}"
    );
    for (flags, token, said) in [
        (&[&*cert, &key][..], None, "admin token"),
        (&[&cert, &key], Some("another-horse-battery"), "admin token"),
        (&[], Some(TOKEN), "https://"),
    ] {
        let (status, _, err) = clear(flags, token);
        assert_eq!(status, 1, "{err}");
        assert!(err.contains(said) && !err.contains(TOKEN), "{err}");
    }
    // Nobody who is not that instance is shown the token.
    let [cert, key] = other.flags();
    let (status, _, err) = clear(&[&cert, &key], Some(TOKEN));
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("certificate"), "{err}");
}

#[test]
fn the_listener_of_the_controls_is_told_and_asked() {
    let running = Running::start(&["--admin=127.0.0.1:0"]);
    let told = running
        .said
        .iter()
        .find_map(|said| said["controls"].as_str());
    let controls = told.unwrap();
    let (status, out, err) = output(&mut larder(&["--clear-cache", "--admin", controls]));
    assert_eq!(
        (status, out.trim()),
        (0, "Cache cleared successfully"),
        "{err}"
    );
}

#[test]
fn the_token_is_never_said() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{TOKEN}\n")).unwrap();
    let path = file.path().to_str().unwrap();
    let mut running = Running::start(&["--admin-token-file", path, "--log=trace"]);
    let ask = |token: &str| {
        let line = "DELETE /cache HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
        let mut stream = TcpStream::connect(&running.address).unwrap();
        write!(stream, "{line}Authorization: Bearer {token}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask(TOKEN).starts_with("HTTP/1.1 200"));
    let refused = ask("an-error-of-one-letter");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    running.signal("-TERM");
    let mut log = String::new();
    running.log.read_to_string(&mut log).unwrap();
    assert!(log.contains("stopped"), "{log}");
    assert!(
        !log.contains(TOKEN) && !log.contains("an-error-of"),
        "{log}"
    );
    let (_, help, _) = output(larder(&["--help"]).env("ADMIN_TOKEN", TOKEN));
    assert!(!help.contains(TOKEN));
}

#[test]
fn who_listens_beyond_loopback_without_a_token_is_told() {
    let closed = "are refused: larder listens beyond loopback";
    for (flags, expected) in [
        (&["--host=0.0.0.0"][..], true),
        (&["--host=0.0.0.0", "--admin-token", TOKEN], false),
        (&["--host=0.0.0.0", "--admin=127.0.0.1:0"], false),
        (&[], false),
    ] {
        let running = Running::start(flags);
        let said = running.said.iter().map(ToString::to_string);
        let count = said.filter(|said| said.contains(closed)).count();
        assert_eq!(count, usize::from(expected), "{flags:?}");
    }
}

#[test]
fn wrong_uses_are_said_and_end_with_2() {
    let refused = |flags: &[&str], env: Option<(&str, &str)>, words: &[&str]| {
        let (status, _, err) = output(larder(flags).envs(env));
        assert_eq!(status, 2, "{err}");
        for word in words {
            assert!(err.contains(word), "{err:?} lacks {word:?}");
        }
        assert!(!err.contains("hunter2"), "{err}");
    };
    refused(
        &["--admin-token=hunter2"],
        None,
        &["--admin-token", "16 characters"],
    );
    refused(
        &["--admin-token="],
        None,
        &["--admin-token", "16 characters"],
    );
    let empty = Some(("ADMIN_TOKEN", ""));
    refused(&[], empty, &["ADMIN_TOKEN", "16 characters"]);
    let short = Some(("ADMIN_TOKEN", "hunter2"));
    refused(&[], short, &["ADMIN_TOKEN", "16 characters"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "hunter2\n").unwrap();
    let path = file.path().to_str().unwrap();
    let flags = ["--admin-token-file", path];
    refused(&flags, None, &[path, "16 characters"]);
    let flags = ["--admin-token-file", path, "--admin-token", TOKEN];
    refused(&flags, None, &["--admin-token-file", "both"]);
    let missing = Some(("ADMIN_TOKEN_FILE", "/nowhere/token"));
    refused(&[], missing, &["ADMIN_TOKEN_FILE", "/nowhere/token"]);
    refused(&["--admin=9000"], None, &["--admin", "127.0.0.1:9000"]);
    refused(&["--tls-cert=/a.pem"], None, &["--tls-cert", "--tls-key"]);
    refused(&["--tls-key=/a.pem"], None, &["--tls-key", "--tls-cert"]);
    let (status, _, err) = output(&mut larder(&["--tls-cert=/no.pem", "--tls-key=/no.pem"]));
    assert_eq!(status, 1, "{err}");
    assert!(err.contains("/no.pem cannot be read"), "{err}");
}

/// As a user without rights where there is one, and with a limit of no bytes on files: writing
/// one would end it.
#[test]
fn it_needs_no_rights_and_writes_no_files() {
    let directory = tempfile::tempdir().unwrap();
    let readable = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), readable.clone()).unwrap();
    let program = directory.path().join("larder");
    fs::copy(env!("CARGO_BIN_EXE_larder"), &program).unwrap();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f 0; exec \"$0\" --port 0"]);
    command.arg(&program).env_clear().current_dir("/");
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.uid(65534).gid(65534);
    }
    let mut running = Running::of(command);
    assert!(running.ask("GET /healthz").starts_with("HTTP/1.1 200"));
    assert!(running.ask("DELETE /cache").starts_with("HTTP/1.1 200"));
    running.signal("-TERM");
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}
