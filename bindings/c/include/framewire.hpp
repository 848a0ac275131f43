// Framewire for C++17: what framewire.h has, as types that give back what they hold. Move-only, header-only, over the C interface alone.
//
// Every call that can fail has two forms. The one that begins with try_ returns a Result, which has a value or an Error. The other returns the value
// and throws the Error; it is there where exceptions are, unless FRAMEWIRE_EXCEPTIONS is defined as 0 before this header is included.
//
//     framewire::Receiver receiver("127.0.0.1:9000");
//     while (auto frame = receiver.next())
//         look_at(frame->data(), frame->width(), frame->height(), frame->stride());
//
// Times are std::chrono's; a timeout below zero waits without end. Threads: as framewire.h says.
#ifndef FRAMEWIRE_HPP
#define FRAMEWIRE_HPP

#include <framewire.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#ifndef FRAMEWIRE_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define FRAMEWIRE_EXCEPTIONS 1
#else
#define FRAMEWIRE_EXCEPTIONS 0
#endif
#endif

namespace framewire {

using nanoseconds = std::chrono::nanoseconds;

/// As a timeout: without end.
inline constexpr nanoseconds FOREVER{-1};

/// What went wrong.
class Error : public std::exception {
public:
    /// Takes over an error of the C interface, and frees it.
    explicit Error(fw_result result, fw_error *error = nullptr)
        : result_(result), class_(fw_error_class(error)) {
        if (error != nullptr) {
            code_ = fw_error_code(error);
            text_ = fw_error_text(error);
            fw_error_free(error);
        } else if (result == FW_TIMEOUT) {
            class_ = FW_CLASS_TIMEOUT;
            code_ = "timeout";
            text_ = "nothing came in the time given";
        }
    }

    /// What the call returned.
    fw_result result() const noexcept { return result_; }
    /// What a program does about it.
    fw_class kind() const noexcept { return class_; }
    /// Such as "no-hub": the same in every version.
    const std::string &code() const noexcept { return code_; }
    /// What happened, with the value, and what to do about it.
    const std::string &text() const noexcept { return text_; }
    const char *what() const noexcept override { return text_.c_str(); }

private:
    fw_result result_;
    fw_class class_;
    std::string code_;
    std::string text_;
};

/// What a call that has nothing to say returns.
struct Done {};

/// A value, or why there is none.
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}

    explicit operator bool() const noexcept { return value_.has_value(); }
    bool has_value() const noexcept { return value_.has_value(); }
    /// FW_OK where there is a value.
    fw_result result() const noexcept { return error_ ? error_->result() : FW_OK; }

    /// The value. Throws the error where there is none; without exceptions that is the end of the program, and the text of the error its last line.
    T &value() & { return demand(), *value_; }
    T &&value() && { return demand(), std::move(*value_); }
    /// The value, which there is.
    T &operator*() & noexcept { return *value_; }
    T &&operator*() && noexcept { return std::move(*value_); }
    T *operator->() noexcept { return &*value_; }

    /// The error, which there is.
    const Error &error() const noexcept { return *error_; }

private:
    void demand() const {
        if (value_)
            return;
#if FRAMEWIRE_EXCEPTIONS
        throw *error_;
#else
        std::fprintf(stderr, "framewire: %s (%s)\n", error_->what(), error_->code().c_str());
        std::abort();
#endif
    }

    std::optional<T> value_;
    std::optional<Error> error_;
};

/// The version of the library that runs.
inline std::string_view version() noexcept { return fw_version(); }

namespace detail {

struct Free {
    void operator()(fw_source *source) const noexcept { fw_source_free(source); }
    void operator()(fw_output *output) const noexcept { fw_output_free(output); }
    void operator()(fw_frame *frame) const noexcept { fw_frame_release(frame); }
    void operator()(fw_slot *slot) const noexcept { fw_slot_discard(slot); }
    void operator()(fw_streams *streams) const noexcept { fw_streams_free(streams); }
    void operator()(fw_key *key) const noexcept { fw_key_free(key); }
    void operator()(fw_error *error) const noexcept { fw_error_free(error); }
};

template <typename T>
using Handle = std::unique_ptr<T, Free>;

inline std::string text(const char *text) { return text == nullptr ? std::string() : std::string(text); }

/// A struct that begins with its size, all else zero.
template <typename T>
T sized() noexcept {
    T made{};
    made.size = sizeof made;
    return made;
}

inline Result<Done> done(fw_result result, fw_error *error) {
    if (result == FW_OK)
        return Done{};
    return Error(result, error);
}

} // namespace detail

/// What a stream is.
struct Stream {
    /// What it is called at its hub; over the network, its number.
    std::string name;
    fw_pixel_format format;
    std::string format_name;
    /// Pixels.
    unsigned width, height;
    /// Bytes from row to row of the first plane.
    unsigned stride;
    fw_delivery delivery;
    /// Bytes that each frame may have.
    std::size_t metadata_max;
    /// Frames a second; 0 where its source did not say.
    double rate;
    /// HOST:PORT of its sender; empty by shared memory.
    std::string peer;
    /// Where its hub is, in what shared_streams says; else empty.
    std::string hub;
    /// The cipher that its datagrams are protected by; empty where they are plain, and by shared memory.
    std::string protection;

    explicit Stream(const fw_stream *stream)
        : name(detail::text(fw_stream_name(stream))), format(static_cast<fw_pixel_format>(fw_stream_format(stream))),
          format_name(detail::text(fw_stream_format_name(stream))), width(fw_stream_width(stream)),
          height(fw_stream_height(stream)), stride(fw_stream_stride(stream)),
          delivery(static_cast<fw_delivery>(fw_stream_delivery(stream))), metadata_max(fw_stream_metadata_max(stream)),
          rate(0), peer(detail::text(fw_stream_peer(stream))), hub(detail::text(fw_stream_hub(stream))),
          protection(detail::text(fw_stream_protection(stream))) {
        std::uint32_t numerator = 0, denominator = 1;
        if (fw_stream_rate(stream, &numerator, &denominator))
            rate = double(numerator) / denominator;
    }
};

namespace detail {

inline Result<std::vector<Stream>> listed(fw_streams *streams, fw_error *error) {
    if (streams == nullptr)
        return Error(FW_ERROR, error);
    Handle<fw_streams> owned(streams);
    std::vector<Stream> all;
    for (std::size_t at = 0; at < fw_streams_count(streams); at++)
        all.emplace_back(fw_streams_at(streams, at));
    return all;
}

} // namespace detail

/// The streams that processes of this machine share. `hub`: the port of a server, the name of a publisher, the path of a socket; NULL: every hub.
inline Result<std::vector<Stream>> try_shared_streams(const char *hub = nullptr) {
    fw_error *error = nullptr;
    fw_streams *streams = fw_shared_streams(hub, &error);
    return detail::listed(streams, error);
}

/// One plane of a frame.
template <typename Byte>
struct Plane {
    Byte *data;
    /// Bytes from row to row.
    std::size_t stride;
    std::size_t bytes;
};

/// What belongs to a frame beside its pixels.
struct Metadata {
    fw_metadata_kind kind;
    /// Borrowed from the frame.
    std::string_view bytes;
};

/// One picture, in the memory that it arrived in, read-only. It holds a slot of its stream until it is destroyed or moved from.
class Frame {
public:
    /// Takes over a frame of the C interface.
    explicit Frame(fw_frame *frame) noexcept : frame_(frame) {}

    const std::uint8_t *data() const noexcept { return fw_frame_data(get()); }
    /// Bytes of pixels.
    std::size_t bytes() const noexcept { return fw_frame_bytes(get()); }
    unsigned planes() const noexcept { return fw_frame_planes(get()); }
    /// Its data is NULL where there is no such plane.
    Plane<const std::uint8_t> plane(unsigned plane) const noexcept {
        Plane<const std::uint8_t> found{};
        found.data = fw_frame_plane(get(), plane, &found.stride, &found.bytes);
        return found;
    }
    unsigned width() const noexcept { return fw_frame_width(get()); }
    unsigned height() const noexcept { return fw_frame_height(get()); }
    /// Bytes from row to row of the first plane.
    unsigned stride() const noexcept { return fw_frame_stride(get()); }
    fw_pixel_format format() const noexcept { return static_cast<fw_pixel_format>(fw_frame_format(get())); }
    std::string_view format_name() const noexcept { return fw_frame_format_name(get()); }
    /// From 0 on, without gaps at its source.
    std::uint64_t number() const noexcept { return fw_frame_number(get()); }
    /// When it was taken, on this machine's CLOCK_MONOTONIC; zero while the clocks are not compared yet.
    nanoseconds captured() const noexcept { return nanoseconds(fw_frame_captured_ns(get())); }
    /// When it was taken as UTC, since 1970; none where its source did not say.
    std::optional<nanoseconds> captured_utc() const noexcept {
        std::uint64_t ns = 0;
        return fw_frame_captured_utc_ns(get(), &ns) ? std::optional<nanoseconds>(nanoseconds(ns)) : std::nullopt;
    }
    /// From when it was taken until it was whole here; none where that is not known.
    std::optional<nanoseconds> latency() const noexcept {
        std::uint64_t ns = 0;
        return fw_frame_latency_ns(get(), &ns) ? std::optional<nanoseconds>(nanoseconds(ns)) : std::nullopt;
    }
    bool is_complete() const noexcept { return fw_frame_is_complete(get()); }
    /// Ranges of bytes that have not come, and are zeroes.
    std::vector<fw_range> missing() const {
        std::vector<fw_range> ranges(fw_frame_missing(get(), nullptr, 0));
        fw_frame_missing(get(), ranges.data(), ranges.size());
        return ranges;
    }
    /// None where its source set nothing.
    std::optional<Metadata> metadata() const noexcept {
        std::uint32_t kind = 0;
        std::size_t bytes = 0;
        const std::uint8_t *data = fw_frame_metadata(get(), &kind, &bytes);
        if (data == nullptr)
            return std::nullopt;
        return Metadata{static_cast<fw_metadata_kind>(kind), {reinterpret_cast<const char *>(data), bytes}};
    }
    Stream stream() const { return Stream(fw_frame_stream(get())); }

    /// The frame as one array; its offset is counted from data(). FW_CLASS_FORMAT where its planes make none.
    Result<fw_array> try_array() const {
        auto array = detail::sized<fw_array>();
        fw_error *error = nullptr;
        fw_result result = fw_frame_array(get(), &array, &error);
        if (result != FW_OK)
            return Error(result, error);
        return array;
    }
    /// One of its planes as an array.
    Result<fw_array> try_plane_array(unsigned plane) const {
        auto array = detail::sized<fw_array>();
        fw_error *error = nullptr;
        fw_result result = fw_frame_plane_array(get(), plane, &array, &error);
        if (result != FW_OK)
            return Error(result, error);
        return array;
    }

    /// The same frame once more, in the same memory.
    Frame clone() const noexcept { return Frame(fw_frame_clone(get())); }
    /// Gives it back now.
    void release() noexcept { frame_.reset(); }
    /// Whether there is one: it was neither moved from nor released.
    explicit operator bool() const noexcept { return frame_ != nullptr; }
    /// What the C interface calls it; still held.
    const fw_frame *get() const noexcept { return frame_.get(); }
    /// The same, no longer held.
    fw_frame *detach() noexcept { return frame_.release(); }

#if FRAMEWIRE_EXCEPTIONS
    fw_array array() const { return try_array().value(); }
    fw_array plane_array(unsigned plane) const { return try_plane_array(plane).value(); }
#endif

private:
    detail::Handle<fw_frame> frame_;
};

/// Frames out of the network, or out of another process's memory.
class Source {
public:
    /// Takes over a source of the C interface.
    explicit Source(fw_source *source) noexcept : source_(source) {}

    /// The next frame. FW_TIMEOUT where none came in time, FW_ENDED, FW_SLOTS_HELD, FW_INTERRUPTED.
    Result<Frame> try_next(nanoseconds timeout = FOREVER) { return taken(fw_source_next, timeout); }
    /// The newest frame of those that wait.
    Result<Frame> try_latest(nanoseconds timeout = FOREVER) { return taken(fw_source_latest, timeout); }

    /// A descriptor for poll and epoll: readable while there may be a frame. Then try_next with no time until FW_TIMEOUT.
    Result<int> try_fd() const {
        fw_error *error = nullptr;
        int fd = fw_source_fd(get(), &error);
        if (fd < 0)
            return Error(FW_ERROR, error);
        return fd;
    }
    fw_source_counts stats() const noexcept {
        auto counts = detail::sized<fw_source_counts>();
        fw_source_stats(get(), &counts, nullptr);
        return counts;
    }
    /// The streams that are open at this moment.
    Result<std::vector<Stream>> try_streams() const {
        fw_error *error = nullptr;
        fw_streams *streams = fw_source_streams(get(), &error);
        return detail::listed(streams, error);
    }
    /// HOST:PORT listened on, with the real port; empty by shared memory.
    std::string address() const { return detail::text(fw_source_address(get())); }
    /// Ends it; who waits is told. Frames that were taken stay.
    void close() noexcept { fw_source_close(get()); }
    bool is_closed() const noexcept { return fw_source_is_closed(get()); }
    const fw_source *get() const noexcept { return source_.get(); }

#if FRAMEWIRE_EXCEPTIONS
    /// The next frame, however long it takes; none once the stream has ended.
    std::optional<Frame> next() { return or_none(try_next(), FW_ENDED); }
    /// The next frame; none where none came in time.
    std::optional<Frame> next(nanoseconds timeout) { return or_none(try_next(timeout), FW_TIMEOUT); }
    /// The newest frame, however long it takes; none once the stream has ended.
    std::optional<Frame> latest() { return or_none(try_latest(), FW_ENDED); }
    /// The newest frame; none where none came in time.
    std::optional<Frame> latest(nanoseconds timeout) { return or_none(try_latest(timeout), FW_TIMEOUT); }
    int fd() const { return try_fd().value(); }
    std::vector<Stream> streams() const { return try_streams().value(); }

    /// Frame after frame, until the stream ends.
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Frame;
        using difference_type = std::ptrdiff_t;
        using pointer = Frame *;
        using reference = Frame &;

        Iterator() = default;
        explicit Iterator(Source &source) : source_(&source), frame_(source.next()) {}
        Frame &operator*() noexcept { return *frame_; }
        Frame *operator->() noexcept { return &*frame_; }
        Iterator &operator++() {
            // Before the next is waited for: it may come into this slot.
            frame_.reset();
            frame_ = source_->next();
            return *this;
        }
        bool operator!=(const Iterator &other) const noexcept { return frame_.has_value() != other.frame_.has_value(); }
        bool operator==(const Iterator &other) const noexcept { return !(*this != other); }

    private:
        Source *source_ = nullptr;
        std::optional<Frame> frame_;
    };
    Iterator begin() { return Iterator(*this); }
    Iterator end() { return {}; }
#endif


private:
    template <typename Take>
    Result<Frame> taken(Take take, nanoseconds timeout) {
        fw_frame *frame = nullptr;
        fw_error *error = nullptr;
        fw_result result = take(get(), timeout.count(), &frame, &error);
        if (result != FW_OK)
            return Error(result, error);
        return Frame(frame);
    }

#if FRAMEWIRE_EXCEPTIONS
    static std::optional<Frame> or_none(Result<Frame> result, fw_result none) {
        if (result.result() == none)
            return std::nullopt;
        return std::move(result).value();
    }
#endif

    detail::Handle<fw_source> source_;
};

/// The secret that both ends of a protected stream have. Goes into `key` of OutputOptions and `keys` of ReceiverOptions as what get() gives.
class Key {
public:
    /// Takes over a key of the C interface.
    explicit Key(fw_key *key) noexcept : key_(key) {}

    /// One that nobody else has.
    static Result<Key> try_random() {
        fw_error *error = nullptr;
        fw_key *key = fw_key_random(&error);
        return made(key, error);
    }
    /// Of what text() gave, here or elsewhere.
    static Result<Key> try_from_text(const std::string &text) {
        fw_error *error = nullptr;
        fw_key *key = fw_key_from_text(text.c_str(), &error);
        return made(key, error);
    }
    /// Of FW_KEY_BYTES bytes, which must be random.
    static Result<Key> try_from_bytes(const std::uint8_t *bytes) {
        fw_error *error = nullptr;
        fw_key *key = fw_key_from_bytes(bytes, &error);
        return made(key, error);
    }
    /// 43 characters, as much of a secret as the key.
    std::string text() const { return detail::text(fw_key_text(get())); }
    /// What it is called where it is not to be told.
    std::string id() const { return detail::text(fw_key_id(get())); }
    const fw_key *get() const noexcept { return key_.get(); }

#if FRAMEWIRE_EXCEPTIONS
    static Key random() { return try_random().value(); }
    static Key from_text(const std::string &text) { return try_from_text(text).value(); }
    static Key from_bytes(const std::uint8_t *bytes) { return try_from_bytes(bytes).value(); }
#endif

private:
    static Result<Key> made(fw_key *key, fw_error *error) {
        if (key == nullptr)
            return Error(FW_ERROR, error);
        return Key(key);
    }

    detail::Handle<fw_key> key_;
};

using ReceiverOptions = fw_receiver_options;
using WatchOptions = fw_watch_options;
using ReaderOptions = fw_reader_options;
using OutputOptions = fw_output_options;
using SendOptions = fw_send_options;

/// Frames that senders bring to a UDP address of this machine.
class Receiver : public Source {
public:
    /// Listens on HOST:PORT. The size of the options is set here.
    static Result<Receiver> try_open(const std::string &address, ReceiverOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_source *source = fw_receiver_open(address.c_str(), &options, &error);
        if (source == nullptr)
            return Error(FW_ERROR, error);
        return Receiver(source);
    }
#if FRAMEWIRE_EXCEPTIONS
    explicit Receiver(const std::string &address, ReceiverOptions options = {}) : Receiver(try_open(address, options).value()) {}
#endif

    /// The stream of this name at a server, whose address (`http://HOST:PORT`) or join string the options say. Returns at once, and waits for what is not there
    /// (trouble()). The size of the options is set here.
    static Result<Receiver> try_watch(const std::string &name, WatchOptions options) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_source *source = fw_source_watch(name.c_str(), &options, &error);
        if (source == nullptr)
            return Error(FW_ERROR, error);
        return Receiver(source);
    }
#if FRAMEWIRE_EXCEPTIONS
    static Receiver watch(const std::string &name, WatchOptions options) { return try_watch(name, options).value(); }
#endif
    /// Why nothing comes of a stream that is watched; empty where nothing is known.
    std::string trouble() const {
        detail::Handle<fw_error> trouble(fw_source_trouble(get()));
        return detail::text(fw_error_text(trouble.get()));
    }

private:
    explicit Receiver(fw_source *source) noexcept : Source(source) {}
};

/// A stream of another process of this machine, read in place.
class Reader : public Source {
public:
    /// `stream`: its name; empty: the only one that there is. The size of the options is set here.
    static Result<Reader> try_open(const std::string &stream = {}, ReaderOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_source *source = fw_reader_open(stream.empty() ? nullptr : stream.c_str(), &options, &error);
        if (source == nullptr)
            return Error(FW_ERROR, error);
        return Reader(source);
    }
#if FRAMEWIRE_EXCEPTIONS
    explicit Reader(const std::string &stream = {}, ReaderOptions options = {}) : Reader(try_open(stream, options).value()) {}
#endif

private:
    explicit Reader(fw_source *source) noexcept : Source(source) {}
};

/// A slot to write the next frame into; given back unsent where it is destroyed before it is sent.
class Slot {
public:
    /// Takes over a slot of the C interface.
    explicit Slot(fw_slot *slot) noexcept : slot_(slot) {}

    std::uint8_t *data() noexcept { return fw_slot_data(get()); }
    std::size_t bytes() const noexcept { return fw_slot_bytes(get()); }
    unsigned planes() const noexcept { return fw_slot_planes(get()); }
    /// Its data is NULL where there is no such plane.
    Plane<std::uint8_t> plane(unsigned plane) noexcept {
        Plane<std::uint8_t> found{};
        found.data = fw_slot_plane(get(), plane, &found.stride, &found.bytes);
        return found;
    }
    unsigned width() const noexcept { return fw_slot_width(get()); }
    unsigned height() const noexcept { return fw_slot_height(get()); }
    unsigned stride() const noexcept { return fw_slot_stride(get()); }
    fw_pixel_format format() const noexcept { return static_cast<fw_pixel_format>(fw_slot_format(get())); }

    Result<fw_array> try_array() const {
        auto array = detail::sized<fw_array>();
        fw_error *error = nullptr;
        fw_result result = fw_slot_array(get(), &array, &error);
        if (result != FW_OK)
            return Error(result, error);
        return array;
    }
    Result<fw_array> try_plane_array(unsigned plane) const {
        auto array = detail::sized<fw_array>();
        fw_error *error = nullptr;
        fw_result result = fw_slot_plane_array(get(), plane, &array, &error);
        if (result != FW_OK)
            return Error(result, error);
        return array;
    }
    /// Of frames of bytes alone, which differ in length.
    Result<Done> try_set_length(std::size_t bytes) {
        fw_error *error = nullptr;
        fw_result result = fw_slot_set_length(get(), bytes, &error);
        return detail::done(result, error);
    }
    Result<Done> try_set_metadata(fw_metadata_kind kind, std::string_view bytes) {
        fw_error *error = nullptr;
        auto data = reinterpret_cast<const std::uint8_t *>(bytes.data());
        fw_result result = fw_slot_set_metadata(get(), kind, data, bytes.size(), &error);
        return detail::done(result, error);
    }
    /// When the picture was taken, on CLOCK_MONOTONIC.
    void set_captured(nanoseconds captured) noexcept { fw_slot_set_captured_ns(get(), std::uint64_t(captured.count())); }
    /// The same as UTC, since 1970, where it has a time of its own.
    void set_captured_utc(nanoseconds captured) noexcept { fw_slot_set_captured_utc_ns(get(), std::uint64_t(captured.count())); }

    /// Sends the frame, and gives up the slot, whatever becomes of it; the frame's number.
    Result<std::uint64_t> try_send() {
        fw_error *error = nullptr;
        std::uint64_t number = 0;
        fw_result result = fw_slot_send(slot_.release(), &number, &error);
        if (result != FW_OK)
            return Error(result, error);
        return number;
    }
    void discard() noexcept { slot_.reset(); }
    /// Whether there is one: it was neither sent, nor discarded, nor moved from.
    explicit operator bool() const noexcept { return slot_ != nullptr; }
    fw_slot *get() const noexcept { return slot_.get(); }

#if FRAMEWIRE_EXCEPTIONS
    fw_array array() const { return try_array().value(); }
    void set_length(std::size_t bytes) { try_set_length(bytes).value(); }
    void set_metadata(fw_metadata_kind kind, std::string_view bytes) { try_set_metadata(kind, bytes).value(); }
    std::uint64_t send() { return try_send().value(); }
#endif

private:
    detail::Handle<fw_slot> slot_;
};

/// A program's own frames: to a receiver, or for other processes of this machine.
class Output {
public:
    /// Takes over an output of the C interface.
    explicit Output(fw_output *output) noexcept : output_(output) {}

    /// Begins the stream: what its frames are like. Does nothing where it has begun with the same.
    Result<Done> try_begin(fw_pixel_format format, unsigned width, unsigned height, unsigned stride = 0) {
        fw_error *error = nullptr;
        fw_result result = fw_output_begin(get(), format, width, height, stride, &error);
        return detail::done(result, error);
    }
    /// A slot to write the next frame into. FW_TIMEOUT where none came free in time.
    Result<Slot> try_frame(nanoseconds timeout = FOREVER) {
        fw_slot *slot = nullptr;
        fw_error *error = nullptr;
        fw_result result = fw_output_frame(get(), timeout.count(), &slot, &error);
        if (result != FW_OK)
            return Error(result, error);
        return Slot(slot);
    }
    /// Copies a frame into a slot and sends it; its number. The size of the options is set here. FW_TIMEOUT where no slot came free in time.
    Result<std::uint64_t> try_send(const void *data, std::size_t bytes, nanoseconds timeout = FOREVER, SendOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        std::uint64_t number = 0;
        auto pixels = static_cast<const std::uint8_t *>(data);
        fw_result result = fw_output_send(get(), pixels, bytes, &options, timeout.count(), &number, &error);
        if (result != FW_OK)
            return Error(result, error);
        return number;
    }
    /// Counts a picture that there was no slot for.
    void skip() noexcept { fw_output_skip(get()); }
    /// Until the receiver has opened the stream.
    Result<Done> try_wait_open(nanoseconds timeout = FOREVER) {
        fw_error *error = nullptr;
        fw_result result = fw_output_wait_open(get(), timeout.count(), &error);
        return detail::done(result, error);
    }
    /// Until the fate of every frame sent so far is known.
    Result<Done> try_wait_settled(nanoseconds timeout = FOREVER) {
        fw_error *error = nullptr;
        fw_result result = fw_output_wait_settled(get(), timeout.count(), &error);
        return detail::done(result, error);
    }
    fw_output_counts stats() const noexcept {
        auto counts = detail::sized<fw_output_counts>();
        fw_output_stats(get(), &counts, nullptr);
        return counts;
    }
    /// The cipher that its datagrams are protected by; empty where they are plain, by shared memory, and while the stream is not open.
    std::string protection() const { return detail::text(fw_output_protection(get())); }
    /// HOST:PORT of the receiver, or the path of the hub's socket.
    std::string target() const { return detail::text(fw_output_target(get())); }
    /// Waits so long for what was sent to arrive; whether it did.
    bool close(nanoseconds timeout = std::chrono::seconds(2)) noexcept { return fw_output_close(get(), timeout.count(), nullptr) == FW_OK; }
    bool is_closed() const noexcept { return fw_output_is_closed(get()); }
    const fw_output *get() const noexcept { return output_.get(); }

#if FRAMEWIRE_EXCEPTIONS
    void begin(fw_pixel_format format, unsigned width, unsigned height, unsigned stride = 0) { try_begin(format, width, height, stride).value(); }
    /// None where no slot came free in time.
    std::optional<Slot> frame(nanoseconds timeout = FOREVER) {
        auto slot = try_frame(timeout);
        if (slot.result() == FW_TIMEOUT)
            return std::nullopt;
        return std::move(slot).value();
    }
    /// None where no slot came free in time.
    std::optional<std::uint64_t> send(const void *data, std::size_t bytes, nanoseconds timeout = FOREVER, SendOptions options = {}) {
        auto number = try_send(data, bytes, timeout, options);
        if (number.result() == FW_TIMEOUT)
            return std::nullopt;
        return number.value();
    }
    void wait_open(nanoseconds timeout = FOREVER) { try_wait_open(timeout).value(); }
    void wait_settled(nanoseconds timeout = FOREVER) { try_wait_settled(timeout).value(); }
#endif

private:
    detail::Handle<fw_output> output_;
};

/// Frames to whoever listens on a UDP address.
class Sender : public Output {
public:
    /// To HOST:PORT. The size of the options is set here.
    static Result<Sender> try_open(const std::string &address, OutputOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_output *output = fw_sender_open(address.c_str(), &options, &error);
        if (output == nullptr)
            return Error(FW_ERROR, error);
        return Sender(output);
    }
    /// To a protected server: the line that it prints at its start, or the file that has it. The size of the options is set here.
    static Result<Sender> try_join(const std::string &join, const std::string &name = {}, OutputOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_output *output = fw_sender_join(join.c_str(), name.c_str(), &options, &error);
        if (output == nullptr)
            return Error(FW_ERROR, error);
        return Sender(output);
    }
#if FRAMEWIRE_EXCEPTIONS
    explicit Sender(const std::string &address, OutputOptions options = {}) : Sender(try_open(address, options).value()) {}
    static Sender join(const std::string &join, const std::string &name = {}, OutputOptions options = {}) {
        return try_join(join, name, options).value();
    }
#endif

private:
    explicit Sender(fw_output *output) noexcept : Output(output) {}
};

/// Frames for other processes of this machine, which read them in place. No network.
class Publisher : public Output {
public:
    /// The size of the options is set here.
    static Result<Publisher> try_open(const std::string &name, OutputOptions options = {}) {
        options.size = sizeof options;
        fw_error *error = nullptr;
        fw_output *output = fw_publisher_open(name.c_str(), &options, &error);
        if (output == nullptr)
            return Error(FW_ERROR, error);
        return Publisher(output);
    }
#if FRAMEWIRE_EXCEPTIONS
    explicit Publisher(const std::string &name, OutputOptions options = {}) : Publisher(try_open(name, options).value()) {}
#endif

private:
    explicit Publisher(fw_output *output) noexcept : Output(output) {}
};

#if FRAMEWIRE_EXCEPTIONS
inline std::vector<Stream> shared_streams(const char *hub = nullptr) { return try_shared_streams(hub).value(); }
#endif

} // namespace framewire

#endif
