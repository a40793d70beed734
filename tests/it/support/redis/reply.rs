//! Asking a Redis, by its own protocol.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

/// What Redis replied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A string, short or long.
    Text(Vec<u8>),
    /// An integer.
    Number(i64),
    /// No such thing.
    Nil,
    /// An error.
    Error(String),
}

/// Sends a command, and reads the reply.
pub(super) fn request<A: AsRef<[u8]>>(stream: &mut BufReader<TcpStream>, args: &[A]) -> Vec<Reply> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    stream.get_mut().write_all(&bytes).expect("redis-server");
    let mut replies = Vec::new();
    read_reply(stream, &mut replies);
    replies
}

fn read_reply(stream: &mut BufReader<TcpStream>, replies: &mut Vec<Reply>) {
    let mut line = String::new();
    stream.read_line(&mut line).expect("redis-server");
    let (kind, rest) = line.trim_end().split_at(1);
    let number = || rest.parse::<i64>().expect("a number");
    match kind {
        "+" => replies.push(Reply::Text(rest.as_bytes().to_vec())),
        "-" => replies.push(Reply::Error(rest.to_owned())),
        ":" => replies.push(Reply::Number(number())),
        "$" if number() < 0 => replies.push(Reply::Nil),
        "$" => {
            let mut text = vec![0; number() as usize + 2];
            stream.read_exact(&mut text).expect("redis-server");
            text.truncate(text.len() - 2);
            replies.push(Reply::Text(text));
        }
        "*" => (0..number()).for_each(|_| read_reply(stream, replies)),
        other => panic!("unknown reply {other:?}"),
    }
}
