//! The `larder` program.

use std::{
    future::Future,
    io::{self, Write},
    process::ExitCode,
};

use larder::proxy::{
    self, Proxy, StartError,
    config::{self, Command, Config},
};
use tokio::runtime::Builder;

fn main() -> ExitCode {
    match config::from_process() {
        Ok(Command::Print(text)) => success(&text),
        Ok(Command::ClearCache(config)) => once(proxy::clear(&config)),
        Ok(Command::Explain(inquiry)) => once(proxy::explain(&inquiry)),
        Ok(Command::Run(config)) => {
            let _logs = proxy::start_logging(&config);
            let mut runtime = Builder::new_multi_thread();
            if let Some(threads) = config.threads {
                runtime.worker_threads(threads);
            }
            match block_on(&mut runtime, run(*config)) {
                Ok(Ok(())) => ExitCode::SUCCESS,
                Ok(Err(error)) => failure(1, &error.to_string()),
                Err(error) => failure(1, &error.to_string()),
            }
        }
        Err(misuse) => failure(2, &misuse.to_string()),
    }
}

/// Does one thing, and says what came of it.
fn once(what: impl Future<Output = Result<String, String>>) -> ExitCode {
    match block_on(&mut Builder::new_current_thread(), what) {
        Ok(Ok(said)) => success(&said),
        Ok(Err(said)) => failure(1, &said),
        Err(error) => failure(1, &error.to_string()),
    }
}

async fn run(config: Config) -> Result<(), StartError> {
    let stop = proxy::stop_signal()?;
    Proxy::bind(config).await?.run(stop).await;
    Ok(())
}

fn block_on<F: Future>(runtime: &mut Builder, future: F) -> io::Result<F::Output> {
    Ok(runtime.enable_all().build()?.block_on(future))
}

fn success(said: &str) -> ExitCode {
    // Who has closed it, as `head` does, has read enough.
    let _ = writeln!(io::stdout(), "{}", said.trim_end());
    ExitCode::SUCCESS
}

fn failure(code: u8, said: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "larder: {said}");
    ExitCode::from(code)
}
