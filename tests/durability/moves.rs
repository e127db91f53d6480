//! Whatever moves a message is atomic: dead letters and transactions of AMQP under kills, on a gateway of their own.

use std::sync::Mutex;

use rand::Rng;
use tokio::task::block_in_place;

use super::load::{self, Pace};
use super::{assert_well, kill_under, letters, number_from, seed, small_gateway, units};

const KILLS: u64 = 30;
const ACKNOWLEDGEMENTS: std::ops::Range<u64> = 20..600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moves_is_in_one_place_whatever_is_killed() {
    let (kills, seed) = (number_from("TRUNKLINE_TEST_KILLS").unwrap_or(KILLS), seed());
    let mut gateway = block_in_place(small_gateway);
    letters::declare(&gateway.amqp()).await;
    units::declare(&gateway.amqp()).await;
    let (pace, letters, units) = (Pace::new(), Mutex::default(), Mutex::default());
    let mut random = [0, 1, 2, 3, 4].map(|load| load::random(seed, 50 + load));
    for round in 0..kills {
        let url = gateway.amqp();
        let [writer, reader, publisher, mover, decisions] = &mut random;
        let loads = async {
            tokio::join!(
                letters::publish(&url, writer, &pace, &letters),
                letters::consume(&url, reader, &pace, &letters),
                units::publish(&url, publisher, &pace, &units),
                units::shift(&url, mover, &pace, &units),
            );
        };
        kill_under(Box::pin(loads), decisions.random_range(ACKNOWLEDGEMENTS), &pace, &mut gateway).await;
        block_in_place(|| gateway.restart());
        // Half of it has to live through another kill.
        if round + 1 == kills || decisions.random() {
            letters::verify(&url, &letters).await;
            units::verify(&url, &units).await;
        }
    }
    assert_well(&gateway);
    eprintln!("{} letters died; {} transactions committed", letters.lock().unwrap().died, units.lock().unwrap().count);
}
