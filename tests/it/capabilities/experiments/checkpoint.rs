//! Counts survive every way of stopping, with a good checkpoint, a bad one and none.

use std::path::PathBuf;

use super::bench::{Bench, Shop, on_both};
use serde_json::Value;

async fn fill(bench: &Bench, from: u32, to: u32) {
    for user in from..to {
        let user = user % 20;
        bench
            .get(&format!("/api/exp/assign?user=u{user}&exp=onboarding_flow"))
            .await;
        let body = format!(
            r#"{{"event":"e","user":"u{user}","exp":"onboarding_flow","variant":"quick","value":0.1}}"#
        );
        assert_eq!(bench.log(&body).await.status, 200);
    }
}

async fn list(bench: &Bench) -> Value {
    bench.get("/api/exp/list").await.json()
}

fn checkpoint(shop: &Shop) -> Option<PathBuf> {
    let folder = shop.files.as_ref()?.path().join("logs/.views");
    let mut files = std::fs::read_dir(folder).ok()?.filter_map(Result::ok);
    files.next().map(|entry| entry.path())
}

#[test]
fn counts_are_the_same_after_a_stop_and_after_a_kill() {
    on_both(async |shop| {
        let bench = shop.open();
        fill(&bench, 0, 30).await;
        let before = list(&bench).await;
        shop.stop(bench);
        let bench = shop.open();
        assert!(
            bench.experiments.folded().from_seq > 0,
            "from the checkpoint"
        );
        assert_eq!(list(&bench).await, before);
        fill(&bench, 30, 50).await;
        let before = list(&bench).await;
        shop.kill(bench);
        let bench = shop.open();
        let folded = bench.experiments.folded();
        assert!(
            folded.from_seq > 0 && folded.mark.seq > folded.from_seq,
            "and the lines after"
        );
        assert_eq!(list(&bench).await, before, "to the last bit of every sum");
    });
}

#[test]
fn a_damaged_checkpoint_costs_a_fold_and_nothing_else() {
    let shop = &Shop::both()[0];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bench = shop.open();
        fill(&bench, 0, 30).await;
        let before = list(&bench).await;
        shop.stop(bench);
        let path = checkpoint(shop).expect("a stop saves one");
        let good = std::fs::read(&path).unwrap();
        let mut flipped = good.clone();
        flipped[good.len() / 2] ^= 1;
        let mut newer = good.clone();
        newer[16] = b'9';
        for bad in [
            &flipped[..],
            &good[..good.len() - 1],
            &[],
            b"nonsense",
            &newer,
        ] {
            std::fs::write(&path, bad).unwrap();
            let bench = shop.open();
            assert_eq!(
                bench.experiments.folded().from_seq,
                0,
                "folded from the start"
            );
            assert_eq!(list(&bench).await, before);
            shop.kill(bench);
        }
    });
}

#[test]
fn a_checkpoint_of_another_past_is_not_believed() {
    let shops = [Shop::both(), Shop::both()].map(|[files, _]| files);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for (shop, count) in shops.iter().zip([30, 45]) {
            let bench = shop.open();
            fill(&bench, 0, count).await;
            shop.stop(bench);
        }
        let (own, other) = (
            checkpoint(&shops[0]).unwrap(),
            checkpoint(&shops[1]).unwrap(),
        );
        let bench = shops[0].open();
        let before = list(&bench).await;
        shops[0].kill(bench);
        std::fs::copy(other, own).unwrap();
        let bench = shops[0].open();
        assert_eq!(bench.experiments.folded().from_seq, 0);
        assert_eq!(list(&bench).await, before);
    });
}

#[test]
fn the_window_of_ids_slides_and_survives() {
    on_both(async |shop| {
        let mut bench = shop.open();
        let line = |id: u32| {
            format!(r#"{{"event":"e","user":"u","exp":"pricing_v2","variant":"A","id":"{id}"}}"#)
        };
        let all: Vec<String> = (0..1600).map(line).collect();
        assert_eq!(
            bench.batch("", &all.join("\n")).await.json()["accepted"],
            1600
        );
        for stopped in [false, true] {
            if stopped {
                shop.stop(bench);
            } else {
                shop.kill(bench);
            }
            bench = shop.open();
            let recent: Vec<String> = (1100..1600).map(line).collect();
            let seen = bench.batch("", &recent.join("\n")).await.json();
            assert_eq!(seen["duplicates"], 500, "half a window of 1000 at least");
        }
    });
}

#[test]
fn lines_of_earlier_versions_are_read() {
    let golden = include_str!("../../../fixtures/logs/experiments.ndjson");
    let shop = &Shop::both()[0];
    let logs = shop.files.as_ref().unwrap().path().join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    std::fs::write(logs.join("experiments.ndjson"), golden).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bench = shop.open();
        let variant = &bench.counts("pricing_v2").await["variants"][0];
        assert_eq!(variant["exposures"], 2);
        assert_eq!(
            variant["events"],
            serde_json::json!([
                {"event": "purchase", "n": 2, "sum": 51.49, "users": 2},
                {"event": "signup", "n": 1, "sum": 0.0, "users": 1},
            ])
        );
        let body =
            r#"{"event":"signup","user":"user123","exp":"pricing_v2","variant":"A","id":"first"}"#;
        assert_eq!(bench.log(body).await.json()["seq"], 3, "its id is known");
    });
}
