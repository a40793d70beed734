//! What an attacker would try: on the parser, on the fetches, on the cache, on memory and time.

mod cache;
mod fetches;
mod floods;
mod framing;
mod limits;
mod pipelining;
mod replies;
mod windows;
