//! Money: whole minor units with a currency inside, and exact fractions on the way there.
//!
//! Prices may be finer than a cent and shares of a month are fractions, so a line is worked out as
//! a [`Ratio`] and rounded once, at its end: to the nearest minor unit, halves away from zero, as
//! invoices do. Totals are sums of rounded lines. Amounts of two currencies are never added.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Codes of ISO 4217 that are in use, without funds and precious metals (list one, 2026).
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL \
    BSD BTN BWP BYN BZD CAD CDF CHF CLF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB \
    EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD \
    JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP \
    MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON \
    RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP \
    TRY TTD TWD TZS UAH UGX USD UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR \
    ZMW ZWG";
/// Those without a minor unit.
const WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
/// Those with thousandths.
const THOUSANDTHS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// Those with ten-thousandths: units of account.
const TEN_THOUSANDTHS: &str = "CLF UYW";

/// A currency of ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// The US dollar.
    pub const USD: Self = Self(*b"USD");

    /// The currency of this code, which is written in capitals.
    pub fn parse(code: &str) -> Option<Self> {
        let known = code.len() == 3 && CODES.split(' ').any(|known| known == code);
        known.then(|| code.as_bytes().try_into().ok().map(Self))?
    }

    /// Its code.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Decimals of its minor unit.
    pub fn exponent(&self) -> u32 {
        let is_in = |list: &str| list.split(' ').any(|code| code == self.code());
        if is_in(WHOLE) {
            0
        } else if is_in(THOUSANDTHS) {
            3
        } else if is_in(TEN_THOUSANDTHS) {
            4
        } else {
            2
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A number that cannot be reckoned with any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large to be reckoned with")]
pub struct TooLarge;

/// A decimal that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no decimal number such as `0.023`, with at most 15 digits before the point and 12 after")]
pub struct BadDecimal;

/// Digits before the point of a decimal that is read.
const MOST_WHOLE_DIGITS: usize = 15;
/// Digits after it.
const MOST_DECIMALS: usize = 12;

/// An exact fraction in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    over: i128,
    under: i128,
}

fn gcd(left: i128, right: i128) -> i128 {
    let (mut a, mut b) = (left.unsigned_abs(), right.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    // Zero of two zeros, and 2^127 of two least numbers: neither divides anything here.
    i128::try_from(a).unwrap_or(1).max(1)
}

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self::whole(0);
    /// One.
    pub const ONE: Self = Self::whole(1);

    /// A whole number.
    pub const fn whole(number: i64) -> Self {
        Self {
            over: number as i128,
            under: 1,
        }
    }

    /// `over` / `under`, which is above 0.
    pub fn new(over: i128, under: i128) -> Result<Self, TooLarge> {
        if under <= 0 || over == i128::MIN {
            return Err(TooLarge);
        }
        let shared = gcd(over, under);
        Ok(Self {
            over: over / shared,
            under: under / shared,
        })
    }

    /// A decimal as it is written: `4.15`, `-3`, `0.000000023`.
    pub fn parse(text: &str) -> Result<Self, BadDecimal> {
        let (sign, bare) = text.strip_prefix('-').map_or((1, text), |bare| (-1, bare));
        let (whole, decimals) = bare.split_once('.').unwrap_or((bare, "0"));
        let are_digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !are_digits(whole, MOST_WHOLE_DIGITS) || !are_digits(decimals, MOST_DECIMALS) {
            return Err(BadDecimal);
        }
        let digits = [whole, decimals].concat();
        let over: i128 = digits.parse().map_err(|_| BadDecimal)?;
        let places = u32::try_from(decimals.len()).map_err(|_| BadDecimal)?;
        Self::new(sign * over, 10_i128.pow(places)).map_err(|TooLarge| BadDecimal)
    }

    /// The nearest one with nine decimals, of a number that was measured or estimated.
    pub fn estimated(value: f64) -> Result<Self, TooLarge> {
        /// Beyond these, nine decimals do not fit.
        const MOST: f64 = 1e24;
        if !value.is_finite() || value.abs() > MOST {
            return Err(TooLarge);
        }
        #[expect(clippy::cast_possible_truncation, reason = "within the bounds above")]
        let billionths = (value * 1e9).round() as i128;
        Self::new(billionths, 1_000_000_000)
    }

    /// As a measure; never for money.
    pub fn to_f64(self) -> f64 {
        self.over as f64 / self.under as f64
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        self.over < 0
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.over == 0
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Result<Self, TooLarge> {
        let shared = gcd(self.under, other.under);
        let widen = |over: i128, by: i128| over.checked_mul(by / shared).ok_or(TooLarge);
        let left = widen(self.over, other.under)?;
        let right = widen(other.over, self.under)?;
        let under = widen(self.under, other.under)?;
        Self::new(left.checked_add(right).ok_or(TooLarge)?, under)
    }

    /// The difference.
    pub fn minus(self, other: Self) -> Result<Self, TooLarge> {
        let negative = Self {
            over: -other.over,
            ..other
        };
        self.plus(negative)
    }

    /// The product.
    pub fn times(self, other: Self) -> Result<Self, TooLarge> {
        let (left, right) = (gcd(self.over, other.under), gcd(other.over, self.under));
        let over = (self.over / left).checked_mul(other.over / right);
        let under = (self.under / right).checked_mul(other.under / left);
        Self::new(over.ok_or(TooLarge)?, under.ok_or(TooLarge)?)
    }

    /// This, divided by a number above 0.
    pub fn divided_by(self, other: Self) -> Result<Self, TooLarge> {
        if other.over <= 0 {
            return Err(TooLarge);
        }
        self.times(Self {
            over: other.under,
            under: other.over,
        })
    }

    /// Which is the smaller; what cannot be compared exactly is compared as measures.
    pub fn is_below(self, other: Self) -> bool {
        self.minus(other)
            .map_or_else(|TooLarge| self.to_f64() < other.to_f64(), Self::is_negative)
    }

    /// This times 10^`places`, to the nearest whole number, halves away from zero.
    fn scaled(self, places: u32) -> Result<i128, TooLarge> {
        let ten = 10_i128.checked_pow(places).ok_or(TooLarge)?;
        let over = self.over.checked_mul(ten).ok_or(TooLarge)?;
        let (whole, rest) = (over / self.under, over % self.under);
        // Twice the rest may not fit where the whole does.
        let up = rest.unsigned_abs() >= self.under.unsigned_abs() - rest.unsigned_abs();
        Ok(whole + if up { over.signum() } else { 0 })
    }

    /// As a decimal with at most `places` decimals, rounded to the nearest; no trailing zeros.
    pub fn to_decimal(self, places: u32) -> String {
        match self.scaled(places) {
            Ok(scaled) => {
                let text = written(scaled, places);
                if text.contains('.') {
                    return text.trim_end_matches('0').trim_end_matches('.').to_owned();
                }
                text
            }
            Err(TooLarge) => format!("{:e}", self.to_f64()),
        }
    }
}

/// As `over/under`, for what is saved and read back by us alone.
impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}/{}", self.over, self.under))
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let parts = text
            .split_once('/')
            .and_then(|(over, under)| Self::new(over.parse().ok()?, under.parse().ok()?).ok());
        parts.ok_or_else(|| serde::de::Error::custom("no fraction"))
    }
}

/// `scaled` / 10^`places` as a decimal.
fn written(scaled: i128, places: u32) -> String {
    let ten = 10_u128.pow(places);
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, rest) = (scaled.unsigned_abs() / ten, scaled.unsigned_abs() % ten);
    let width = places as usize;
    if width == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{rest:0width$}")
}

/// An amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// Whole minor units, such as cents.
    pub minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

impl Money {
    /// The exact amount `units`, rounded to whole minor units, halves away from zero.
    pub fn rounded(units: Ratio, currency: Currency) -> Result<Self, TooLarge> {
        let minor = i64::try_from(units.scaled(currency.exponent())?).map_err(|_| TooLarge)?;
        Ok(Self { minor, currency })
    }

    /// The same as an exact number of whole units.
    pub fn units(self) -> Ratio {
        let under = 10_i128.pow(self.currency.exponent());
        Ratio::new(i128::from(self.minor), under).unwrap_or(Ratio::ZERO)
    }

    /// The number alone: `12.34`, `-0.05`; `1234` in yen.
    pub fn amount(self) -> String {
        written(i128::from(self.minor), self.currency.exponent())
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

/// Sums of money, one for each currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals(BTreeMap<Currency, i64>);

impl Totals {
    /// Adds an amount to the sum of its currency.
    pub fn add(&mut self, money: Money) -> Result<(), TooLarge> {
        let sum = self.0.entry(money.currency).or_default();
        *sum = sum.checked_add(money.minor).ok_or(TooLarge)?;
        Ok(())
    }

    /// The sum in one currency; nothing where there is none.
    pub fn of(&self, currency: Currency) -> Money {
        let minor = self.0.get(&currency).copied().unwrap_or_default();
        Money { minor, currency }
    }

    /// All sums, by code.
    pub fn iter(&self) -> impl Iterator<Item = Money> {
        let money = |(currency, minor): (&Currency, &i64)| Money {
            minor: *minor,
            currency: *currency,
        };
        self.0.iter().map(money)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(text: &str) -> Ratio {
        Ratio::parse(text).expect("a decimal")
    }

    fn money(text: &str, code: &str) -> Money {
        Money::rounded(ratio(text), Currency::parse(code).expect("a code")).expect("fits")
    }

    #[test]
    fn currencies_have_their_own_minor_units() {
        for (code, exponent, text) in [
            ("JPY", 0, "1235"),
            ("EUR", 2, "1234.57"),
            ("KWD", 3, "1234.568"),
            ("CLF", 4, "1234.5678"),
        ] {
            let found = money("1234.5678", code);
            assert_eq!(found.currency.exponent(), exponent);
            assert_eq!(found.amount(), text);
        }
        for unknown in ["", "EU", "eur", "XXX", "EURO", "A B", "XAU"] {
            assert_eq!(Currency::parse(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn halves_are_rounded_away_from_zero_and_once() {
        for (exact, cents) in [
            ("0.005", 1),
            ("0.004999999999", 0),
            ("0.015", 2),
            ("-0.005", -1),
            ("-0.004999999999", 0),
            ("2.675", 268),
        ] {
            assert_eq!(money(exact, "EUR").minor, cents, "{exact}");
        }
        let third = Ratio::new(1, 3).expect("fits");
        let thirds = third.plus(third).and_then(|two| two.plus(third));
        assert_eq!(thirds, Ok(Ratio::ONE));
        assert_eq!(third.to_decimal(4), "0.3333");
        assert_eq!(ratio("20.500").to_decimal(9), "20.5");
    }

    #[test]
    fn what_cannot_be_held_is_refused_not_wrapped() {
        let huge = Ratio::new(i128::MAX, 1).expect("fits");
        assert_eq!(huge.plus(Ratio::ONE), Err(TooLarge));
        assert_eq!(huge.times(Ratio::whole(2)), Err(TooLarge));
        assert_eq!(Money::rounded(huge, Currency::USD), Err(TooLarge));
        let mut totals = Totals::default();
        let most = Money {
            minor: i64::MAX,
            currency: Currency::USD,
        };
        totals.add(most).expect("the first fits");
        assert_eq!(totals.add(most), Err(TooLarge));
        for bad in [
            "",
            ".5",
            "1.",
            "1e3",
            "+1",
            "1,5",
            "--1",
            "0.1234567890123",
            " 1",
        ] {
            assert_eq!(Ratio::parse(bad), Err(BadDecimal), "{bad:?}");
        }
    }

    #[test]
    fn currencies_are_never_summed_across() {
        let mut totals = Totals::default();
        for one in [
            money("1.10", "EUR"),
            money("2.20", "USD"),
            money("0.05", "EUR"),
        ] {
            totals.add(one).expect("fits");
        }
        let shown: Vec<String> = totals.iter().map(|sum| sum.to_string()).collect();
        assert_eq!(shown, ["1.15 EUR", "2.20 USD"]);
    }
}
