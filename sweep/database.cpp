#include "sweep/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace tscsim::sweep {
namespace {

using Json = nlohmann::json;

constexpr const char* kFormat = "1";
constexpr const char* kSchema = R"(
CREATE TABLE sweep(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE progress(batches INTEGER NOT NULL);
CREATE TABLE fate(fate TEXT PRIMARY KEY, runs INTEGER NOT NULL, first_run INTEGER NOT NULL, example TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE quantity(number INTEGER PRIMARY KEY, name TEXT NOT NULL, unit TEXT NOT NULL, runs INTEGER NOT NULL, without INTEGER NOT NULL,
  outside INTEGER NOT NULL, least INTEGER, greatest INTEGER, sum TEXT NOT NULL);
CREATE TABLE histogram(quantity INTEGER NOT NULL, bucket INTEGER NOT NULL, low INTEGER NOT NULL, high INTEGER NOT NULL, runs INTEGER NOT NULL,
  PRIMARY KEY(quantity, bucket)) WITHOUT ROWID;
CREATE TABLE worst(quantity INTEGER NOT NULL, place INTEGER NOT NULL, run INTEGER NOT NULL, value INTEGER NOT NULL,
  PRIMARY KEY(quantity, place)) WITHOUT ROWID;
)";

const char* name_of(Fate fate) { return fate == Fate::ran ? "ran" : fate == Fate::refused ? "refused" : "failed"; }
Fate fate_from(const std::string& name) {
  return name == "ran" ? Fate::ran : name == "refused" ? Fate::refused : Fate::failed;
}

std::string decimal(ops::Wide value) {
  std::string digits;
  const bool negative = value < 0;
  do {
    const int digit = static_cast<int>(value % 10);
    digits.insert(digits.begin(), static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  } while (value != 0);
  return negative ? "-" + digits : digits;
}

ops::Wide wide_from(const std::string& text) {
  ops::Wide value = 0;
  for (const char c : text)
    if (c != '-') value = value * 10 + (c - '0');
  return text.starts_with('-') ? -value : value;
}

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

std::string lines_of(const std::vector<std::string>& texts) { return Json(texts).dump(); }
std::vector<std::string> texts_from(const std::string& lines) {
  return Json::parse(lines).get<std::vector<std::string>>();
}

Inputs inputs_from(const std::map<std::string, std::string>& named) {
  const auto text = [&](const char* name) { return named.at(name); };
  const auto number = [&](const char* name) { return std::stoull(named.at(name)); };
  Inputs in;
  in.tool_version = text("tool_version");
  in.scenario = text("scenario");
  in.scenario_text = text("scenario_text");
  in.scenario_hash = text("scenario_hash");
  in.procedures = texts_from(text("procedures"));
  in.kernel = text("kernel");
  in.heuristic = text("heuristic");
  in.seed = number("seed");
  in.runs = number("runs");
  in.batch = number("batch");
  in.worst = number("worst");
  in.keep = text("keep") == "runs" ? Keep::runs : Keep::aggregates;
  in.variations = texts_from(text("variations"));
  in.quantities = texts_from(text("quantities"));
  in.shard = number("shard");
  in.shards = number("shards");
  return in;
}

std::string name_of_variation(const std::string& text) { return text.substr(0, text.find('=')); }

}  // namespace

std::map<std::string, std::string> Inputs::named() const {
  return {{"format", kFormat},
          {"tool_version", tool_version},
          {"scenario", scenario},
          {"scenario_text", scenario_text},
          {"scenario_hash", scenario_hash},
          {"procedures", lines_of(procedures)},
          {"kernel", kernel},
          {"heuristic", heuristic},
          {"seed", std::to_string(seed)},
          {"runs", std::to_string(runs)},
          {"batch", std::to_string(batch)},
          {"worst", std::to_string(worst)},
          {"keep", keep == Keep::runs ? "runs" : "aggregates"},
          {"variations", lines_of(variations)},
          {"quantities", lines_of(quantities)},
          {"shard", std::to_string(shard)},
          {"shards", std::to_string(shards)}};
}

class Database::Impl {
 public:
  Impl(const std::string& path, int flags) : path_(path), db_(path, flags, 1'000) {}

  void make(const Inputs& inputs) {
    SQLite::Transaction transaction(db_);
    db_.exec(kSchema);
    SQLite::Statement row(db_, "INSERT INTO sweep VALUES(?, ?)");
    for (const auto& [name, value] : inputs.named()) insert(row, name, value);
    db_.exec("INSERT INTO progress VALUES(0)");
    inputs_ = inputs;
    if (inputs.keep == Keep::runs) db_.exec(run_table());
    set_up();
    write_quantities();
    transaction.commit();
  }

  void load(bool write) {
    if (write) use_journal();
    std::map<std::string, std::string> named;
    for (SQLite::Statement rows(db_, "SELECT name, value FROM sweep"); rows.executeStep();)
      named[rows.getColumn(0).getString()] = rows.getColumn(1).getString();
    if (named["format"] != kFormat)
      throw std::runtime_error(
          fmt::format("{}: this sweep has format '{}', this tscsim reads {}", path_, named["format"], kFormat));
    inputs_ = inputs_from(named);
    set_up();
    done_ = static_cast<std::uint64_t>(db_.execAndGet("SELECT batches FROM progress").getInt64());
    load_total();
  }

  void commit(const Aggregate& batch, std::uint64_t batches) {
    SQLite::Transaction transaction(db_);
    total_.add(batch);
    if (inputs_.keep == Keep::runs) write_rows(batch.rows);
    write_fates();
    write_quantities();
    for (std::size_t i = 0; i < total_.of.size(); ++i) write_quantity(i, batch.of[i]);
    db_.exec(fmt::format("UPDATE progress SET batches = {}", done_ + batches));
    transaction.commit();
    done_ += batches;
  }

  void close() { db_.exec("PRAGMA journal_mode=DELETE"); }

  std::string content() const {
    std::string text;
    for (const std::string table : {"sweep", "progress", "fate", "quantity", "histogram", "worst", "run"}) {
      if (table == "run" && inputs_.keep != Keep::runs) continue;
      text += table + "\n";
      for (SQLite::Statement rows(
               db_, fmt::format("SELECT * FROM {} ORDER BY 1{}", table, table == "progress" ? "" : ", 2"));
           rows.executeStep();) {
        for (int i = 0; i < rows.getColumnCount(); ++i) text += (i == 0 ? "  " : "|") + rows.getColumn(i).getString();
        text += "\n";
      }
    }
    return text;
  }

  void each_row(const std::function<void(const Row&)>& told) const {
    for (SQLite::Statement rows(db_, "SELECT * FROM run ORDER BY run"); rows.executeStep();) {
      Row row{
          static_cast<std::uint64_t>(rows.getColumn(0).getInt64()), fate_from(rows.getColumn(1).getString()), {}, {}};
      int column = 2;
      for (std::size_t i = 0; i < inputs_.variations.size(); ++i)
        row.drawn.push_back(rows.getColumn(column++).getInt64());
      for (std::size_t i = 0; i < inputs_.quantities.size(); ++i, ++column)
        row.seen.push_back(rows.getColumn(column).isNull() ? std::nullopt : Seen(rows.getColumn(column).getInt64()));
      told(row);
    }
  }

  std::optional<std::int64_t> exact_percentile(std::size_t quantity, std::uint32_t share_ppm) const {
    const std::uint64_t runs = total_.of[quantity].runs;
    if (inputs_.keep != Keep::runs || runs == 0) return std::nullopt;
    const auto wanted = static_cast<std::uint64_t>((static_cast<ops::Wide>(runs) * share_ppm + 999'999) / 1'000'000);
    const std::string name = quoted(Quantity::parse(inputs_.quantities[quantity]).name());
    SQLite::Statement row(db_, fmt::format("SELECT {0} FROM run WHERE {0} IS NOT NULL ORDER BY {0} LIMIT 1 OFFSET {1}",
                                           name, wanted == 0 ? 0 : wanted - 1));
    return row.executeStep() ? std::optional(row.getColumn(0).getInt64()) : std::nullopt;
  }

  const Inputs& inputs() const { return inputs_; }
  const Aggregate& total() const { return total_; }
  std::uint64_t done() const { return done_; }

 private:
  // One writer alone, for what it adds up is in its memory, too. One that is killed leaves whole transactions; one fsync a
  // checkpoint is enough for that.
  void use_journal() {
    db_.exec(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; BEGIN EXCLUSIVE; COMMIT");
  }

  void set_up() {
    total_ = Aggregate(inputs_.quantities.size(), inputs_.worst);
    quantities_.clear();
    for (const std::string& text : inputs_.quantities) quantities_.push_back(Quantity::parse(text));
  }

  std::string run_table() const {
    std::string text = "CREATE TABLE run(run INTEGER PRIMARY KEY, fate TEXT NOT NULL";
    for (const std::string& variation : inputs_.variations)
      text += ", " + quoted(name_of_variation(variation)) + " INTEGER NOT NULL";
    for (const std::string& quantity : inputs_.quantities)
      text += ", " + quoted(Quantity::parse(quantity).name()) + " INTEGER";
    return text + ")";
  }

  template <class... Values>
  static void insert(SQLite::Statement& statement, const Values&... values) {
    int column = 0;
    (statement.bind(++column, values), ...);
    statement.exec();
    statement.reset();
  }
  static std::int64_t number(std::uint64_t value) { return static_cast<std::int64_t>(value); }

  void write_rows(const std::vector<Row>& rows) {
    const std::size_t columns = 2 + inputs_.variations.size() + inputs_.quantities.size();
    std::string marks = "?";
    for (std::size_t i = 1; i < columns; ++i) marks += ", ?";
    SQLite::Statement statement(db_, "INSERT INTO run VALUES(" + marks + ")");
    for (const Row& row : rows) {
      int column = 0;
      statement.bind(++column, number(row.run));
      statement.bind(++column, name_of(row.fate));
      for (const std::int64_t value : row.drawn) statement.bind(++column, value);
      for (const Seen& value : row.seen) {
        if (value && *value >= INT64_MIN && *value <= INT64_MAX)
          statement.bind(++column, static_cast<std::int64_t>(*value));
        else statement.bind(++column);
      }
      statement.exec();
      statement.reset();
    }
  }

  void write_fates() {
    SQLite::Statement row(db_, "INSERT OR REPLACE INTO fate VALUES(?, ?, ?, ?)");
    for (const auto& [fate, count] : total_.fates)
      insert(row, name_of(fate), number(count.runs), number(count.first), count.example);
  }

  void write_quantities() {
    SQLite::Statement row(db_, "INSERT OR REPLACE INTO quantity VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
    for (std::size_t i = 0; i < quantities_.size(); ++i) {
      const QuantityAggregate& one = total_.of[i];
      row.bind(1, number(i));
      row.bind(2, quantities_[i].name());
      row.bind(3, quantities_[i].unit());
      row.bind(4, number(one.runs));
      row.bind(5, number(one.without));
      row.bind(6, number(one.outside));
      for (const int column : {7, 8}) {
        if (one.runs == 0) row.bind(column);
        else row.bind(column, column == 7 ? one.least : one.greatest);
      }
      row.bind(9, decimal(one.sum));
      row.exec();
      row.reset();
    }
  }

  // The buckets that `batch` has changed, and the worst runs.
  void write_quantity(std::size_t i, const QuantityAggregate& batch) {
    SQLite::Statement bar(db_, "INSERT OR REPLACE INTO histogram VALUES(?, ?, ?, ?, ?)");
    for (const auto& [place, unused] : batch.histogram) {
      const Bucket is = bucket(place);
      insert(bar, number(i), place, is.low, is.high, number(total_.of[i].histogram.at(place)));
    }
    SQLite::Statement row(db_, "INSERT OR REPLACE INTO worst VALUES(?, ?, ?, ?)");
    std::int64_t place = 0;
    for (const WorstRun& run : total_.of[i].worst) insert(row, number(i), ++place, number(run.run), run.value);
  }

  void load_total() {
    for (SQLite::Statement rows(db_, "SELECT fate, runs, first_run, example FROM fate"); rows.executeStep();)
      total_.fates[fate_from(rows.getColumn(0).getString())] = {
          static_cast<std::uint64_t>(rows.getColumn(1).getInt64()),
          static_cast<std::uint64_t>(rows.getColumn(2).getInt64()), rows.getColumn(3).getString()};
    for (SQLite::Statement rows(db_, "SELECT number, runs, without, outside, least, greatest, sum FROM quantity");
         rows.executeStep();) {
      QuantityAggregate& one = total_.of.at(static_cast<std::size_t>(rows.getColumn(0).getInt64()));
      one.runs = static_cast<std::uint64_t>(rows.getColumn(1).getInt64());
      one.without = static_cast<std::uint64_t>(rows.getColumn(2).getInt64());
      one.outside = static_cast<std::uint64_t>(rows.getColumn(3).getInt64());
      if (one.runs != 0) {
        one.least = rows.getColumn(4).getInt64();
        one.greatest = rows.getColumn(5).getInt64();
      }
      one.sum = wide_from(rows.getColumn(6).getString());
    }
    for (SQLite::Statement rows(db_, "SELECT quantity, bucket, runs FROM histogram"); rows.executeStep();)
      total_.of.at(static_cast<std::size_t>(rows.getColumn(0).getInt64())).histogram[rows.getColumn(1).getInt()] =
          static_cast<std::uint64_t>(rows.getColumn(2).getInt64());
    for (SQLite::Statement rows(db_, "SELECT quantity, value, run FROM worst ORDER BY quantity, place");
         rows.executeStep();)
      total_.of.at(static_cast<std::size_t>(rows.getColumn(0).getInt64()))
          .worst.push_back({rows.getColumn(1).getInt64(), static_cast<std::uint64_t>(rows.getColumn(2).getInt64())});
  }

  std::string path_;
  SQLite::Database db_;
  Inputs inputs_;
  std::vector<Quantity> quantities_;
  Aggregate total_;
  std::uint64_t done_ = 0;
};

Database::Database(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Database Database::create(const std::string& path, const Inputs& inputs) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) throw std::runtime_error(fmt::format("{} is there already", path));
  // Under another name until it holds a sweep: a process that is killed leaves one that resumes, or none.
  const std::string unfinished = path + ".new";
  for (const char* rest : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(unfinished + rest, ignored);
  try {
    {
      Impl made(unfinished, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
      made.make(inputs);
    }
    std::filesystem::rename(unfinished, path);
    return open(path);
  } catch (const SQLite::Exception& error) {
    throw std::runtime_error(fmt::format("{}: {}", path, error.what()));
  }
}

Database Database::open(const std::string& path, bool write) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) throw std::runtime_error(fmt::format("{}: there is no such file", path));
  try {
    Database made(std::make_unique<Impl>(path, write ? SQLite::OPEN_READWRITE : SQLite::OPEN_READONLY));
    made.impl_->load(write);
    return made;
  } catch (const SQLite::Exception& error) {
    if (error.getErrorCode() == SQLITE_BUSY)
      throw std::runtime_error(fmt::format("{} is in use by another process", path));
    throw std::runtime_error(fmt::format("{} does not hold a sweep: {}", path, error.what()));
  }
}

const Inputs& Database::inputs() const { return impl_->inputs(); }
const Aggregate& Database::total() const { return impl_->total(); }
std::uint64_t Database::batches_done() const { return impl_->done(); }
void Database::commit(const Aggregate& batch, std::uint64_t batches) { impl_->commit(batch, batches); }
void Database::each_row(const std::function<void(const Row&)>& row) const { impl_->each_row(row); }
std::optional<std::int64_t> Database::exact_percentile(std::size_t quantity, std::uint32_t share_ppm) const {
  return impl_->exact_percentile(quantity, share_ppm);
}
std::string Database::content() const { return impl_->content(); }
void Database::close() { impl_->close(); }

}  // namespace tscsim::sweep
