// SPDX-License-Identifier: GPL-2.0

//! The chart: a line for each row, a mark for each contestant at how many times less than the C driver it needs.

use crate::sample::{Contestant, Mode, Run};
use crate::table::{contestants, ratio, rows};
use svg::node::element::{Circle, Group, Line, Rectangle, Text};
use svg::Document;

const LABELS: f64 = 230.0;
const PLOT: f64 = 640.0;
const MARGIN: f64 = 20.0;
const HEAD: f64 = 78.0;
const ROW: f64 = 18.0;

/// Colours that are told apart with colour blindness too (Okabe and Ito).
fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Floor => "#000000",
        Contestant::FloorExt => "#999999",
        Contestant::FloorAhead => "#777777",
        Contestant::Null => "#56b4e9",
        Contestant::Rublk => "#e69f00",
        Contestant::C => "#cc79a7",
        Contestant::CNone => "#e5bcd3",
        Contestant::Base => "#009e73",
        Contestant::Plain => "#0072b2",
        Contestant::PlainInline => "#4d9ccf",
        Contestant::PlainAhead => "#8abfe2",
        Contestant::PlainFua => "#c2dff2",
        Contestant::Single => "#f0e442",
        Contestant::Zloop => "#d55e00",
    }
}

/// The decades of the axis around the ratios.
fn axis(ratios: &[f64]) -> (i32, i32) {
    let low = ratios.iter().copied().fold(0.5, f64::min).log10().floor() as i32;
    let high = ratios.iter().copied().fold(2.0, f64::max).log10().ceil() as i32;
    (low, high)
}

fn text(x: f64, y: f64, anchor: &str, content: &str) -> Text {
    Text::new(content)
        .set("x", x)
        .set("y", y)
        .set("text-anchor", anchor)
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, stroke: &str) -> Line {
    Line::new()
        .set("x1", x1)
        .set("y1", y1)
        .set("x2", x2)
        .set("y2", y2)
        .set("stroke", stroke)
}

/// The chart of a run, as SVG.
pub fn chart(run: &Run) -> String {
    let contestants: Vec<_> = contestants(run)
        .into_iter()
        .filter(|c| *c != Contestant::C)
        .collect();
    let of = |row: &str| -> Vec<(Contestant, f64)> {
        contestants
            .iter()
            .filter_map(|c| Some((*c, ratio(run, row, *c, Contestant::C)?)))
            .collect()
    };
    let lines: Vec<_> = rows(run)
        .into_iter()
        .map(|row| (of(&row), row))
        .filter(|(ratios, _)| !ratios.is_empty())
        .collect();
    let all: Vec<f64> = lines
        .iter()
        .flat_map(|(ratios, _)| ratios.iter().map(|(_, r)| *r))
        .collect();
    let (low, high) = axis(&all);
    let x_of =
        |ratio: f64| LABELS + PLOT * (ratio.log10() - f64::from(low)) / f64::from(high - low);
    let bottom = HEAD + ROW * lines.len() as f64;
    let (width, height) = (LABELS + PLOT + MARGIN, bottom + MARGIN);

    let what = match run.mode {
        Mode::Icount => "guest instructions",
        Mode::Wall => "time",
    };
    let mut grid = Group::new();
    let mut ticks = Group::new().set("font-size", 11);
    for decade in low..=high {
        for step in 1..10 {
            let at = 10f64.powi(decade) * f64::from(step);
            if decade == high && step > 1 {
                break;
            }
            let x = x_of(at);
            grid = grid.add(line(
                x,
                HEAD,
                x,
                bottom,
                if step == 1 { "#bbbbbb" } else { "#eeeeee" },
            ));
            if matches!(step, 1 | 2 | 5) {
                ticks = ticks.add(text(x, HEAD - 6.0, "middle", &at.to_string()));
            }
        }
    }
    let one = x_of(1.0);
    grid =
        grid.add(line(one, HEAD - 4.0, one, bottom, colour(Contestant::C)).set("stroke-width", 2));

    let mut legend = Group::new().set("font-size", 12);
    let mut x = LABELS;
    for c in &contestants {
        legend = legend
            .add(
                Circle::new()
                    .set("cx", x)
                    .set("cy", 40)
                    .set("r", 5)
                    .set("fill", colour(*c)),
            )
            .add(text(x + 9.0, 44.0, "start", c.title()));
        x += 30.0 + 7.0 * c.title().len() as f64;
    }

    let mut labels = Group::new().set("font-size", 12);
    let mut marks = Group::new();
    for (i, (ratios, row)) in lines.iter().enumerate() {
        let y = HEAD + ROW * (i as f64 + 0.5);
        labels = labels.add(text(LABELS - 10.0, y + 4.0, "end", row));
        marks = marks.add(line(LABELS, y, LABELS + PLOT, y, "#eeeeee"));
        for (c, ratio) in ratios {
            let radius = if *c == Contestant::Zloop { 6 } else { 4 };
            let circle = Circle::new()
                .set("cx", x_of(*ratio))
                .set("cy", y)
                .set("r", radius)
                .set("fill", colour(*c));
            marks = marks.add(circle.add(svg::node::element::Title::new(format!(
                "{row}, {}: {ratio:.2}",
                c.title()
            ))));
        }
    }

    let title = format!("How many times less {what} than the C driver (right is better)");
    Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("font-family", "sans-serif")
        .add(
            Rectangle::new()
                .set("width", width)
                .set("height", height)
                .set("fill", "white"),
        )
        .add(text(LABELS, 20.0, "start", &title).set("font-size", 14))
        .add(legend)
        .add(grid)
        .add(ticks)
        .add(labels)
        .add(marks)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::run_of;

    #[test]
    fn axis_covers_the_ratios_in_whole_decades() {
        assert_eq!(axis(&[0.5, 4.0]), (-1, 1));
        assert_eq!(axis(&[]), (-1, 1));
        assert_eq!(axis(&[0.02, 30.0]), (-2, 2));
    }

    #[test]
    fn chart_has_a_mark_for_each_ratio_and_none_for_the_c_driver() {
        let run = run_of(&[
            ("reset", Contestant::C, 0.4),
            ("reset", Contestant::Zloop, 0.1),
            ("reset", Contestant::Null, 0.2),
            // No ratio without the C driver.
            ("finish", Contestant::Zloop, 0.1),
        ]);
        let text = chart(&run);
        assert!(text.contains("reset, zloop: 4.00") && text.contains("reset, null_blk: 2.00"));
        assert!(!text.contains("finish"));
        // Two marks and two in the legend.
        assert_eq!(text.matches("<circle").count(), 4);
    }
}
