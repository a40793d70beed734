//! Many at once ask for what is not there.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpSocket, runtime::Builder, sync::Barrier, task::JoinSet, time::timeout};

use crate::{
    hits::Servers,
    kit::{Failure, http1::Connection, origin::Origin, process::Process},
    report::{Goal, Report, Table, median},
    settings::Settings,
};

const CROWD: usize = 1000;

/// 1,000 requests for one object that the origin takes 200 ms for.
pub(crate) fn collapse(
    settings: &Settings,
    servers: &Servers,
    origin: &Origin,
    report: &mut Report,
) {
    let mut rows = Vec::new();
    let goal = Goal::of("1,000 cold concurrent requests for 1 MiB that takes 200 ms");
    let (mut fetches, mut worst) = (None, None);
    for (name, server) in servers.caches() {
        let tries = if name == "larder" {
            settings.rounds.min(5)
        } else {
            1
        };
        let all: Result<Vec<_>, _> = (0..tries).map(|n| together(server, origin, n)).collect();
        let all = match all {
            Ok(all) => all,
            Err(error) => {
                rows.push(vec![name.to_owned(), error.to_string()]);
                continue;
            }
        };
        let most = all.iter().map(|it| it.fetches).max().unwrap_or(0);
        let half = median(all.iter().map(|it| it.half).collect());
        let last = median(all.iter().map(|it| it.last).collect());
        let millis = |time: Option<f64>| format!("{:.1}", time.unwrap_or(f64::NAN));
        let row = [most.to_string(), millis(half), millis(last)];
        eprintln!("1,000 cold requests: {name}: {}", row.join(", "));
        rows.push([&[name.to_owned()], &row[..]].concat());
        if name == "larder" {
            (fetches, worst) = (Some(most as f64), last);
        }
    }
    let goal = goal.at_most(1.0, "", "fetch", fetches).at_most(
        50.0,
        " ms",
        "from the origin's first byte to the last client's first",
        worst,
    );
    report.goals.push(goal);
    report.tables.push(Table {
        title: "1,000 cold requests at once".to_owned(),
        note: "The clients' receive buffers are small, as if they were far away, and who has its first bytes reads on when all have theirs.".to_owned(),
        head: [
            "server",
            "fetches",
            "ms from the origin's first byte to half of the clients' first",
            "to the last client's",
        ]
        .map(str::to_owned)
        .into(),
        rows,
    });
}

/// What came of that; the times are milliseconds from the origin's first byte to clients' first.
struct Together {
    fetches: u64,
    half: f64,
    last: f64,
}

fn together(server: &Process, origin: &Origin, n: usize) -> Result<Together, Failure> {
    let before = origin.requests();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let path = format!("/slow/{n}/{}", server.address.port());
    let firsts = runtime.block_on(async {
        let ready = Arc::new(Barrier::new(CROWD));
        let first = Arc::new(Barrier::new(CROWD));
        let mut all = JoinSet::new();
        for _ in 0..CROWD {
            let (ready, first) = (Arc::clone(&ready), Arc::clone(&first));
            let (to, path) = (server.address, path.clone());
            all.spawn(async move {
                // What comes at once is as little as with a client that is far away. Else the
                // kernel would copy all of it between two buffers before the next one's turn.
                let socket = TcpSocket::new_v4()?;
                socket.set_recv_buffer_size(16 * 1024)?;
                let mut connection = Connection::over(socket.connect(to).await?, 4096)?;
                ready.wait().await;
                let begun = connection.begin(|out| out.extend(path.bytes())).await?;
                let at = Instant::now();
                first.wait().await;
                connection.finish(begun).await?;
                Ok::<_, Failure>(at)
            });
        }
        let finished = async {
            let mut firsts = Vec::new();
            while let Some(at) = all.join_next().await {
                firsts.push(at??);
            }
            Ok::<_, Failure>(firsts)
        };
        let finished = timeout(Duration::from_secs(40), finished).await;
        finished.map_err(|_| "not all were answered")?
    })?;
    let since = origin.slow_since().ok_or("the origin was not asked")?;
    let mut firsts: Vec<f64> = firsts
        .iter()
        .map(|at| at.saturating_duration_since(since).as_secs_f64() * 1e3)
        .collect();
    firsts.sort_by(f64::total_cmp);
    Ok(Together {
        fetches: origin.requests() - before,
        half: firsts[CROWD / 2],
        last: firsts[CROWD - 1],
    })
}
