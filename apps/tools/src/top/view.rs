//! The screen, as a function of the model.

#[cfg(test)]
mod tests;

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Block, Cell, Clear, Paragraph, Row, Sparkline, StatefulWidget, Table, TableState, Widget, Wrap,
};

use super::columns::{self, Column, count, decimal, duration, fitting, format_of};
use super::model::{Link, Model, SPAN, Sample};
use super::streams::{Activity, Snapshot, Stream, activity, away, said, trouble, twins, unlisted, unrecorded};
use framewire_process::shown::{columns_of, fitted};

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Lines of a graph on a screen of ordinary and of generous height.
const GRAPH_LINES: u16 = 3;
const GRAPH_LINES_TALL: u16 = 7;
/// From this height on a screen is generous.
const TALL: u16 = 40;
/// Below this the table takes the whole screen.
const DETAILED: u16 = 18;
/// Columns of the words beside a graph.
const LABEL: u16 = 16;

/// Draws everything, whatever the size.
pub(super) fn draw(model: &Model, now: Duration, area: Rect, buffer: &mut Buffer) {
    let trouble = match (&model.link, area.width) {
        (Link::Lost { .. }, 0..120) => 3,
        (Link::Lost { .. }, 120..) => 2,
        (Link::Live, _) if all_trouble(&model.snapshot).is_some() => 2,
        _ => 0,
    };
    let detail = match (model.selected(), area.height) {
        (None, _) | (_, ..DETAILED) => 0,
        (Some(stream), DETAILED..TALL) => 2 + details(stream).len() as u16 + 2 * GRAPH_LINES,
        (Some(stream), TALL..) => 2 + details(stream).len() as u16 + 2 * GRAPH_LINES_TALL,
    };
    let lines = [
        Constraint::Length(1),
        Constraint::Length(trouble),
        Constraint::Min(0),
        Constraint::Length(detail),
        Constraint::Length(1),
    ];
    let [title, trouble, table, details, keys] = area.layout(&Layout::vertical(lines));
    draw_title(model, title, buffer);
    draw_trouble(model, now, trouble, buffer);
    draw_table(model, table, buffer);
    if let Some(stream) = model.selected().filter(|_| detail > 0) {
        draw_details(model, stream, details, buffer);
    }
    Line::styled("↑ ↓ choose   ? help   q quit", DIM).render(keys, buffer);
    if model.help {
        draw_help(area, buffer);
    }
}

fn draw_title(model: &Model, area: Rect, buffer: &mut Buffer) {
    let (word, style) = match model.link {
        Link::Asking => (" asking ", Style::new().fg(Color::Yellow)),
        Link::Live => (" live ", Style::new().fg(Color::Green)),
        Link::Lost { .. } => (" LOST ", BAD.add_modifier(Modifier::REVERSED)),
    };
    let [left, right] = area.layout(&Layout::horizontal([Constraint::Min(0), Constraint::Length(word.len() as u16)]));
    let mut title = vec![Span::styled("framewire top", BOLD), Span::raw(format!("  {}", model.server))];
    if model.link != Link::Asking {
        let (server, streams) = (&model.snapshot.server, model.snapshot.streams.len());
        let streams = if streams == 1 { "1 stream".to_owned() } else { format!("{streams} streams") };
        if !server.version.as_str().is_empty() {
            let servers = match model.snapshot.cluster.as_ref().map(|cluster| cluster.nodes.len()) {
                Some(nodes) if nodes != 1 => format!(" at {nodes} servers"),
                _ => String::new(),
            };
            title.push(Span::raw(format!("  {streams}{servers}")));
            title.push(Span::styled(format!("  {}, up {}", server.version, duration(server.uptime_seconds)), DIM));
        }
        if server.guard.as_str() == "insecure" {
            title.push(Span::styled("  not protected (--insecure)", BAD));
        }
    }
    Line::from(title).render(left, buffer);
    Line::styled(word, style).render(right, buffer);
}

fn draw_trouble(model: &Model, now: Duration, area: Rect, buffer: &mut Buffer) {
    let trouble = match &model.link {
        Link::Lost { why, since } => {
            format!("No answer for {}, asking again: {why}", duration(now.saturating_sub(*since).as_secs_f64()))
        }
        Link::Live => all_trouble(&model.snapshot).unwrap_or_default(),
        Link::Asking => return,
    };
    Paragraph::new(trouble).style(BAD).wrap(Wrap { trim: true }).render(area, buffer);
}

/// What does not work, of the server and of its cluster.
fn all_trouble(snapshot: &Snapshot) -> Option<String> {
    let server = trouble(&snapshot.server).map(str::to_owned);
    let told: Vec<_> =
        server.into_iter().chain(away(snapshot)).chain(twins(snapshot)).chain(unlisted(snapshot)).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn draw_table(model: &Model, area: Rect, buffer: &mut Buffer) {
    let streams = &model.snapshot.streams;
    if streams.is_empty() {
        let text = match model.link {
            Link::Asking => "Asking the server…".to_owned(),
            Link::Live => format!("No stream is open. This opens one:\n\nframewire-client --server {}", model.server),
            Link::Lost { .. } => String::new(),
        };
        Paragraph::new(text).style(DIM).wrap(Wrap { trim: true }).render(area, buffer);
        return;
    }
    let columns = fitting(area.width.into(), model.snapshot.cluster.is_some());
    let others: usize = columns.iter().skip(1).map(|column| column.width + 1).sum();
    let name_width = usize::from(area.width).saturating_sub(others);
    let is_old = model.link != Link::Live;
    let header = Row::new(columns.iter().map(|column| aligned(column, column.title.to_owned()))).style(BOLD);
    let rows = streams.iter().map(|stream| {
        let cells = columns.iter().enumerate().map(|(at, column)| {
            let width = if at == 0 { name_width } else { column.width };
            cell(column, stream, width, is_old)
        });
        Row::new(cells).style(if is_old { DIM } else { Style::new() })
    });
    let widths = columns
        .iter()
        .enumerate()
        .map(|(at, column)| if at == 0 { Constraint::Min(0) } else { Constraint::Length(column.width as u16) });
    let table = Table::new(rows, widths).header(header).column_spacing(1);
    let mut state = TableState::new().with_selected(model.selected_row());
    let table = table.row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    StatefulWidget::render(table, area, buffer, &mut state);
}

fn cell<'a>(column: &Column, stream: &Stream, width: usize, is_old: bool) -> Cell<'a> {
    let text = match column.title {
        // Figures were true once; these tell of now.
        "state" | "age" if is_old => "?".to_owned(),
        _ => (column.text)(stream),
    };
    let cell = aligned(column, fitted(&text, width));
    match (column.title, activity(stream)) {
        _ if is_old => cell,
        ("state", Activity::Live) => cell.style(Color::Green),
        ("state", Activity::Silent | Activity::Opening | Activity::Stale) => cell.style(Color::Yellow),
        ("state", Activity::Away) => cell.style(Color::Red),
        ("dropped", _) if stream.counts.frames_dropped.total() > 0 => cell.style(Color::Red),
        _ => cell,
    }
}

fn aligned<'a>(column: &Column, text: String) -> Cell<'a> {
    let alignment = if column.is_number { Alignment::Right } else { Alignment::Left };
    Cell::from(Line::raw(text).alignment(alignment))
}

fn draw_details(model: &Model, stream: &Stream, area: Rect, buffer: &mut Buffer) {
    let name = fitted(stream.name.as_str(), usize::from(area.width).saturating_sub(6));
    let span = Line::raw(format!(" {} min ", SPAN.as_secs() / 60)).right_aligned();
    let block = Block::bordered().title(Span::styled(format!(" {name} "), BOLD)).title_bottom(span).border_style(DIM);
    let inner = block.inner(area);
    block.render(area, buffer);
    let said = details(stream);
    let graph = inner.height.saturating_sub(said.len() as u16) / 2;
    let lines = [Constraint::Length(said.len() as u16), Constraint::Length(graph), Constraint::Length(graph)];
    let [words, rate, latency] = inner.layout(&Layout::vertical(lines));
    Paragraph::new(said).render(words, buffer);
    draw_graph(model, stream, &RATE, rate, buffer);
    draw_graph(model, stream, &LATENCY, latency, buffer);
}

fn details(stream: &Stream) -> Vec<Line<'static>> {
    if stream.hearsay {
        return elsewhere(stream);
    }
    let way = match stream.slice_bytes {
        Some(bytes) => format!("{}, slices of {bytes}", said(&stream.backend)),
        None => said(&stream.path).to_string(),
    };
    let path = format!(
        "{}  {}  {}  {way}  up {}",
        said(&stream.source),
        format_of(stream),
        said(&stream.delivery),
        duration(stream.uptime_seconds)
    );
    let dropped = stream.counts.frames_dropped.causes().into_iter().filter(|(_, frames)| *frames > 0);
    let dropped = dropped
        .map(|(cause, frames)| format!("{} {}", count(frames), cause.replace('_', " ")))
        .collect::<Vec<_>>()
        .join(", ");
    let (dropped, style) =
        if dropped.is_empty() { ("none".into(), Style::new()) } else { (dropped, Style::new().fg(Color::Red)) };
    let delivered = format!(
        "{} frames, repaired {} by request, {} by parity; socket drops {}",
        count(stream.counts.frames_delivered),
        count(stream.counts.frames_repaired.by_nack),
        count(stream.counts.frames_repaired.by_fec),
        count(stream.socket_drops)
    );
    let dropped = Line::from(vec![Span::raw("dropped  "), Span::styled(dropped, style)]);
    let mut said = vec![Line::raw(path), dropped, Line::raw(delivered)];
    said.extend(unrecorded(stream).map(|sinks| Line::styled(format!("recording fails  {sinks}"), BAD)));
    said.extend(readers(stream).into_iter().map(Line::raw));
    said
}

/// Of another server's stream: what is counted of it, that server tells.
fn elsewhere(stream: &Stream) -> Vec<Line<'static>> {
    let idle = if stream.idle { "  nobody wants it" } else { "" };
    vec![
        Line::raw(format!(
            "at {}  {}  {}{idle}",
            said(&stream.place.node_name),
            format_of(stream),
            said(&stream.delivery)
        )),
        Line::raw(format!("its losses and latency are told at {}", said(&stream.place.url))),
    ]
}

/// A figure that has a graph.
struct Graph {
    title: &'static str,
    now: fn(&Stream) -> Option<f64>,
    figure: fn(&Sample) -> Option<f64>,
    digits: usize,
    colour: Color,
}

const RATE: Graph = Graph {
    title: "frames/s",
    now: |stream| Some(stream.frames_per_second),
    figure: |sample| Some(sample.rate),
    digits: 1,
    colour: Color::Cyan,
};
const LATENCY: Graph = Graph {
    title: "p99 ms",
    now: |stream| stream.latency_ms.map(|latency| latency.p99),
    figure: |sample| sample.p99,
    digits: 2,
    colour: Color::Magenta,
};

fn draw_graph(model: &Model, stream: &Stream, graph: &Graph, area: Rect, buffer: &mut Buffer) {
    /// Steps of the scale, so that fractions show.
    const STEPS: f64 = 1_000.0;
    let [label, bars] = area.layout(&Layout::horizontal([Constraint::Length(LABEL), Constraint::Min(0)]));
    let figures = model.graph(stream, graph.figure, bars.width.into());
    // A server may say anything; a graph shows what can be.
    let figures: Vec<_> =
        figures.into_iter().map(|figure| figure.filter(|figure| figure.is_finite() && *figure >= 0.0)).collect();
    let most = figures.iter().flatten().copied().fold(0.0, f64::max);
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| decimal(figure, graph.digits));
    let now = if model.link == Link::Live { (graph.now)(stream) } else { None };
    let words = vec![
        Line::styled(graph.title, BOLD),
        Line::raw(format!("now  {}", figure(now))),
        Line::raw(format!("most {}", figure(figures.iter().flatten().copied().reduce(f64::max)))),
    ];
    Paragraph::new(words).render(label, buffer);
    let steps =
        figures.iter().map(|figure| figure.map(|figure| if most > 0.0 { (figure / most * STEPS) as u64 } else { 0 }));
    Sparkline::default().data(steps.collect::<Vec<_>>()).max(STEPS as u64).style(graph.colour).render(bars, buffer);
}

fn draw_help(area: Rect, buffer: &mut Buffer) {
    let text = "\
↑ ↓ k j      choose a stream
PgUp PgDn    ten at a time
?            this help
q Esc Ctrl-C quit

state    opening: no frame yet; silent: none of late;
         stale, away: its server is silent
p50 p99  from capture to complete, half of the
         frames and all but one in a hundred
dropped  frames that did not arrive, all causes;
         a wide screen has a column for each
age      of the newest frame";
    let (width, height) = (56.min(area.width), 14.min(area.height));
    let place = Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    Clear.render(place, buffer);
    Paragraph::new(text).block(Block::bordered().title(" help ")).render(place, buffer);
}

/// The table as lines of text, for a pipe or a file.
pub(super) fn text(model: &Model) -> String {
    let streams = &model.snapshot.streams;
    if streams.is_empty() {
        return format!("{}: no stream is open\n{}", model.server, troubles(model));
    }
    /// Longer names are cut.
    const NAME_MAX: usize = 40;
    let width = |at: usize, column: &Column| {
        let texts = streams.iter().map(|stream| columns_of(&(column.text)(stream)));
        let widest = texts.max().unwrap_or(0);
        if at == 0 { widest.clamp(column.title.len(), NAME_MAX) } else { widest.max(column.title.len()) }
    };
    let columns: Vec<_> = columns::all(model.snapshot.cluster.is_some()).collect();
    let widths: Vec<_> = columns.iter().enumerate().map(|(at, column)| width(at, column)).collect();
    let line = |text: &dyn Fn(&Column) -> String| {
        let cells = columns.iter().zip(&widths).map(|(column, width)| {
            let text = fitted(&text(column), *width);
            let space = " ".repeat(width.saturating_sub(columns_of(&text)));
            if column.is_number { space + &text } else { text + &space }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let header = line(&|column| column.title.to_owned());
    streams.iter().fold(header, |table, stream| table + &line(&|column| (column.text)(stream)))
        + &all_readers(model)
        + &troubles(model)
}

/// More readers than this are counted.
const READERS_SHOWN: usize = 4;
/// Of a reader's name.
const READER_COLUMNS: usize = 16;

/// The programs that read a stream in place, a line each.
fn readers(stream: &Stream) -> Vec<String> {
    let line = |reader: &framewire_figures::snapshot::ReaderSnapshot<super::shown::Shown>| {
        // What matters first: a screen of 80 columns shows no more than the account.
        let ended = if reader.quarantined { ", given no more" } else { "" };
        format!(
            "read by  {}{ended}  {} taken, {} dropped, {} waiting, {} held  {}  {} µs to wake  (process {}, user {})",
            fitted(&reader.name.to_string(), READER_COLUMNS),
            count(reader.taken),
            count(reader.dropped),
            count(reader.waiting),
            count(reader.held),
            reader.policy,
            decimal(reader.wake_cpu_us, 1),
            reader.pid,
            reader.uid,
        )
    };
    let mut lines: Vec<_> = stream.readers.iter().take(READERS_SHOWN).map(line).collect();
    let more = stream.readers.len().saturating_sub(READERS_SHOWN);
    lines.extend((more > 0).then(|| format!("read by  {more} more")));
    lines
}

/// Who reads the streams, a line each, under the table.
fn all_readers(model: &Model) -> String {
    let streams = model.snapshot.streams.iter();
    let lines =
        streams.flat_map(|stream| readers(stream).into_iter().map(move |line| format!("{}: {line}\n", stream.name)));
    lines.collect()
}

/// What does not work, a line each, under the table.
fn troubles(model: &Model) -> String {
    let server = all_trouble(&model.snapshot);
    let told = |stream: &Stream| unrecorded(stream).map(|sinks| format!("{}: recording fails  {sinks}", stream.name));
    let lines = server.into_iter().chain(model.snapshot.streams.iter().filter_map(told));
    lines.map(|line| line + "\n").collect()
}
