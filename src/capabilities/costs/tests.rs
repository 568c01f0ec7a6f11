//! Costs to the minor unit, beside a naive second way: whole numbers only, unit by unit and day by
//! day, with nothing shared but the prices.

use chrono::{Datelike as _, Days, NaiveDate};

use super::logic::{between, line};
use super::model::{Item, Month, Period, Price, Proration, Source, Tier, Tokens, Usage};
use crate::base::money::{Currency, Ratio};

/// A small generator of numbers (Knuth's MMIX constants): the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn day(&mut self) -> NaiveDate {
        let days = self.below(3 * 366);
        NaiveDate::from_ymd_opt(2027, 1, 1).expect("a day") + Days::new(days)
    }

    fn currency(&mut self) -> Currency {
        let codes = ["JPY", "EUR", "KWD"];
        Currency::parse(codes[usize::try_from(self.below(3)).expect("small")]).expect("known")
    }
}

fn item(dice: &mut Dice, price: Price, proration: Proration) -> Item {
    let start = (dice.below(2) == 0).then(|| dice.day());
    let end = (dice.below(2) == 0).then(|| start.unwrap_or(dice.day()) + Days::new(dice.below(90)));
    Item {
        name: "it".to_owned(),
        description: String::new(),
        currency: dice.currency(),
        start,
        end,
        proration,
        price,
        units: Vec::new(),
    }
}

/// `over` / `under` to the nearest whole number, halves up; both are positive.
fn nearest(over: u128, under: u128) -> i64 {
    i64::try_from((2 * over + under) / (2 * under)).expect("fits")
}

fn whole(number: u64) -> Ratio {
    Ratio::new(number.into(), 1).expect("fits")
}

fn minor_of(currency: Currency) -> u128 {
    [1, 10, 100, 1000][currency.exponent() as usize]
}

#[test]
fn fixed_items_are_what_counting_their_days_gives() {
    let mut dice = Dice(1);
    for _round in 0..3000 {
        let thousandths = dice.below(5_000_000);
        let yearly = dice.below(2) == 0;
        let price = Price::Fixed {
            amount: Ratio::new(thousandths.into(), 1000).expect("fits"),
            period: if yearly {
                Period::Yearly
            } else {
                Period::Monthly
            },
        };
        let item = item(&mut dice, price, Proration::Days);
        let month = Month::of(dice.day());
        let through = month.first() + Days::new(dice.below(31));
        // By hand: one day after the other.
        let (mut paid, mut all) = (0_u128, 0_u128);
        let mut day = month.first();
        while day.month() == month.first().month() {
            all += 1;
            let after = item.start.is_none_or(|start| day >= start);
            let before = item.end.is_none_or(|end| day <= end);
            paid += u128::from(day <= through && after && before);
            day = day.succ_opt().expect("a day");
        }
        let months = if yearly { 12 } else { 1 };
        let over = u128::from(thousandths) * paid * minor_of(item.currency);
        let expected = nearest(over, 1000 * months * all);
        let found = line(&item, month, through, &Usage::default()).expect("fits");
        assert_eq!(found.cost.minor, expected, "{item:?} {month} {through}");
    }
}

#[test]
fn metered_items_are_what_counting_their_units_gives() {
    let mut dice = Dice(2);
    for _round in 0..400 {
        let (first, second) = (1 + dice.below(40), 41 + dice.below(60));
        let prices = [
            dice.below(1_000_000),
            dice.below(1_000_000),
            dice.below(1_000_000),
        ];
        let millionths = |price: u64| Ratio::new(price.into(), 1_000_000).expect("fits");
        let tiers = [Some(first), Some(second), None].into_iter().zip(prices);
        let included = dice.below(60);
        let price = Price::Metered {
            unit: "x".to_owned(),
            included: whole(included),
            tiers: tiers
                .map(|(up_to, price)| Tier {
                    up_to: up_to.map(whole),
                    price: millionths(price),
                })
                .collect(),
            source: Source::Pushed,
            unit_size: Ratio::ONE,
        };
        let item = item(&mut dice, price, Proration::Full);
        let month = Month::of(dice.day());
        let through = month.first() + Days::new(dice.below(31));
        let mut usage = Usage::default();
        let mut units = 0;
        for _use in 0..dice.below(12) {
            let day = month.first() - Days::new(5) + Days::new(dice.below(40));
            let quantity = dice.below(40);
            usage.add(day, whole(quantity)).expect("fits");
            let here = Month::of(day) == month && day <= through;
            let after = item.start.is_none_or(|start| day >= start);
            let before = item.end.is_none_or(|end| day <= end);
            units += if here && after && before { quantity } else { 0 };
        }
        // No day of this month is paid for: no quota, and no units either.
        let mut cost = 0_u128;
        for unit in included..units.max(included) {
            let place = match unit - included {
                beyond if beyond < first => 0,
                beyond if beyond < second => 1,
                _ => 2,
            };
            cost += u128::from(prices[place]);
        }
        let expected = nearest(cost * minor_of(item.currency), 1_000_000);
        let found = line(&item, month, through, &usage).expect("fits");
        assert_eq!(
            found.cost.minor, expected,
            "{item:?} {month} {through} {usage:?}"
        );
    }
}

#[test]
fn tokens_are_what_adding_them_one_price_after_the_other_gives() {
    let mut dice = Dice(3);
    for _round in 0..1000 {
        let prices = [dice.below(90_000), dice.below(90_000), dice.below(90_000)];
        // Thousandths for a million tokens.
        let of_one = |price: u64| Ratio::new(price.into(), 1_000_000_000).expect("fits");
        let price = Price::Tokens {
            input: of_one(prices[0]),
            output: of_one(prices[1]),
            cached: of_one(prices[2]),
        };
        let mut item = item(&mut dice, price, Proration::Full);
        (item.start, item.end) = (None, None);
        let month = Month::of(dice.day());
        let mut usage = Usage::default();
        let mut cost = 0_u128;
        for day in month.each_day().step_by(3) {
            let [input, output, cached] = [0; 3].map(|_: u64| dice.below(3_000_000));
            usage.tokens.insert(
                day,
                Tokens {
                    input,
                    output,
                    cached,
                },
            );
            for (price, count) in prices.iter().zip([input, output, cached]) {
                cost += u128::from(*price) * u128::from(count);
            }
        }
        let expected = nearest(cost * minor_of(item.currency), 1_000_000_000);
        let found = line(&item, month, month.last(), &usage).expect("fits");
        assert_eq!(found.cost.minor, expected, "{item:?} {month}");
    }
}

#[test]
fn days_add_up_to_their_month_exactly() {
    let mut dice = Dice(4);
    for _round in 0..100 {
        let price = Price::Metered {
            unit: "x".to_owned(),
            included: whole(dice.below(100)),
            tiers: vec![Tier {
                up_to: None,
                price: Ratio::new(dice.below(999).into(), 7).expect("fits"),
            }],
            source: Source::Pushed,
            unit_size: Ratio::ONE,
        };
        let item = item(&mut dice, price, Proration::Days);
        let month = Month::of(dice.day());
        let mut usage = Usage::default();
        for day in month.each_day() {
            usage.add(day, whole(dice.below(9))).expect("fits");
        }
        let mut sum = Ratio::ZERO;
        for day in month.each_day() {
            let cost = between(&item, day, day, &usage).expect("fits");
            sum = sum.plus(cost).expect("fits");
        }
        let whole = line(&item, month, month.last(), &usage).expect("fits");
        assert_eq!(sum, whole.exact, "{item:?} {month}");
        let two = between(&item, month.first(), month.next().last(), &usage).expect("fits");
        assert_eq!(two, whole.exact, "nothing is used in the next");
    }
}
