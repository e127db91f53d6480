//! dev only
use std::sync::Arc;
use trunkline::{delivery::Delivery, dialect::redis::{Redis, Settings}, log::LogSettings, net::{Dialect, Incoming, Shutdown}, security::Open, telemetry::DialectMetrics};
#[global_allocator] static A: mimalloc::MiMalloc = mimalloc::MiMalloc;
fn main() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let (port, dir) = (args.next().expect("port"), args.next().expect("dir"));
    let threads: usize = args.next().map_or(1, |t| t.parse().expect("threads"));
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().expect("rt");
    rt.block_on(async {
        let delivery = Delivery::open(LogSettings { directory: dir.into(), ..LogSettings::default() }).expect("open");
        let redis = Arc::new(Redis::new(delivery, Settings::default(), Arc::new(Open), DialectMetrics::new("redis")));
        let l = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await.expect("bind");
        let mut id = 0;
        loop {
            let (stream, peer) = l.accept().await.expect("accept");
            let _ = stream.set_nodelay(true);
            id += 1;
            let c = Incoming { local: stream.local_addr().expect("a"), stream, peer, id, shutdown: Shutdown::never() };
            tokio::spawn(Arc::clone(&redis).serve(c));
        }
    });
}
