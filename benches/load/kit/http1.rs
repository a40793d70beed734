//! One HTTP/1.1 connection, as cheap as it can be: the load must not be what is measured.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::Failure;

/// What is read at a time. It fits into a core's cache; small answers touch its first page only.
const BUFFER: usize = 256 * 1024;

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// What there is to know of a response's head.
#[derive(Debug, PartialEq)]
struct Head {
    size: usize,
    status: u16,
    body: u64,
}

/// A response of which the body is not read yet.
pub(crate) struct Begun {
    missing: u64,
    body: u64,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> Result<Self, Failure> {
        Self::over(TcpStream::connect(to).await?, BUFFER)
    }

    /// Reads so many bytes at most at a time; a response's head has to fit.
    pub(crate) fn over(stream: TcpStream, buffer: usize) -> Result<Self, Failure> {
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            request: Vec::new(),
            buffer: vec![0; buffer],
        })
    }

    /// Asks for what `write_path` writes, and reads the answer. Its size is the result.
    pub(crate) async fn get(
        &mut self,
        write_path: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, Failure> {
        let begun = self.begin(write_path).await?;
        self.finish(begun).await
    }

    /// Asks, and reads the first bytes of the answer.
    pub(crate) async fn begin(
        &mut self,
        write_path: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Begun, Failure> {
        self.request.clear();
        self.request.extend_from_slice(b"GET ");
        write_path(&mut self.request);
        let rest = b" HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n";
        self.request.extend_from_slice(rest);
        self.stream.write_all(&self.request).await?;

        let mut filled = 0;
        let head = loop {
            match self.stream.read(&mut self.buffer[filled..]).await? {
                0 => return Err("the server closed the connection".into()),
                count => filled += count,
            }
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        if head.status != 200 {
            return Err(format!("the server answered {}", head.status).into());
        }
        let missing = head.body.checked_sub((filled - head.size) as u64);
        Ok(Begun {
            missing: missing.ok_or("the server sent more than its content-length")?,
            body: head.body,
        })
    }

    /// Reads the rest of a body.
    pub(crate) async fn finish(&mut self, begun: Begun) -> Result<u64, Failure> {
        let mut missing = begun.missing;
        while missing > 0 {
            let most = self.buffer.len().min(usize::try_from(missing)?);
            match self.stream.read(&mut self.buffer[..most]).await? {
                0 => return Err("the server broke off".into()),
                count => missing -= count as u64,
            }
        }
        Ok(begun.body)
    }
}

/// The head at the beginning of `read`; `None` while it is incomplete.
fn head(read: &[u8]) -> Result<Option<Head>, Failure> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    const LENGTH: &[u8] = b"content-length:";
    let status = read.get(9..12).ok_or("no status")?;
    let is_length = |line: &&[u8]| {
        let name = line.get(..LENGTH.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(LENGTH))
    };
    let length = read[..end].split(|byte| *byte == b'\n').find(is_length);
    let length = length.ok_or("an answer without content-length")?;
    let number = |text| str::from_utf8(text).map(str::trim);
    Ok(Some(Head {
        size: end + 4,
        status: number(status)?.parse()?,
        body: number(&length[LENGTH.len()..])?.parse()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read() {
        let whole = b"HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 12\r\n\r\nbody";
        let told = Head {
            size: whole.len() - 4,
            status: 404,
            body: 12,
        };
        assert_eq!(head(whole).unwrap(), Some(told));
        assert_eq!(head(&whole[..40]).unwrap(), None);
        assert!(head(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n").is_err());
    }
}
