// What holds slots, and what gives them back: Mats that outlive everything, closing twice, NULL everywhere, a fork. To be run under AddressSanitizer.
#include <framewire.hpp>
#ifdef WITH_OPENCV
#include <framewire/opencv.hpp>
#endif

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <iostream>
#include <thread>

namespace {

constexpr std::chrono::seconds SOON(30);

#define CHECK(what)                                                                                                    \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            std::cerr << __FILE__ << ":" << __LINE__ << ": not so: " #what "\n";                                       \
            std::exit(1);                                                                                              \
        }                                                                                                              \
    } while (false)

framewire::OutputOptions every() {
    framewire::OutputOptions options{};
    options.delivery = FW_EVERY;
    return options;
}

struct Pair {
    framewire::Source source;
    framewire::Output output;
};

Pair pair_by(bool shared, fw_pixel_format format = FW_BGR24, unsigned width = 64, unsigned height = 48) {
    if (!shared) {
        framewire::Receiver receiver("127.0.0.1:0");
        framewire::Sender sender(receiver.address(), every());
        sender.begin(format, width, height);
        return {std::move(receiver), std::move(sender)};
    }
    static int count = 0;
    const std::string name = "lifetimes-" + std::to_string(getpid()) + "-" + std::to_string(count++);
    framewire::Publisher publisher(name, every());
    publisher.begin(format, width, height);
    framewire::ReaderOptions options{};
    options.slots = 2;
    options.queue = 8;
    return {framewire::Reader(name, options), std::move(publisher)};
}

void send(framewire::Output &output, std::uint8_t shade) {
    auto slot = output.frame(SOON);
    CHECK(slot);
    std::memset(slot->data(), shade, slot->bytes());
    slot->send();
}

framewire::Frame next(framewire::Source &source) {
    auto frame = source.next(SOON);
    CHECK(frame);
    return std::move(*frame);
}

std::uint64_t held(const framewire::Source &source) { return source.stats().held; }

void a_frame_and_its_clones_hold_a_slot_and_outlive_the_source() {
    for (bool shared : {false, true}) {
        std::optional<Pair> ends(pair_by(shared));
        send(ends->output, 7);
        framewire::Frame frame = next(ends->source);
        framewire::Frame clone = frame.clone();
        CHECK(clone.data() == frame.data() && held(ends->source) == 1);
        frame.release();
        CHECK(held(ends->source) == 1);
        // Of what was given back, nothing is to be seen.
        CHECK(!frame && frame.data() == nullptr && frame.bytes() == 0 && !frame.metadata());
        CHECK(ends->output.close(SOON) && ends->output.close(SOON) && ends->output.is_closed());
        CHECK(ends->output.try_frame().error().kind() == FW_CLASS_CLOSED);
        ends->source.close();
        ends->source.close();
        CHECK(ends->source.is_closed());
        CHECK(ends->source.try_next().error().kind() == FW_CLASS_CLOSED);
        ends.reset();
        CHECK(clone.data()[0] == 7 && clone.data()[clone.bytes() - 1] == 7);
    }
}

void a_slot_outlives_its_output_and_is_given_back_unsent() {
    for (bool shared : {false, true}) {
        std::optional<Pair> ends(pair_by(shared));
        auto unsent = ends->output.frame(SOON);
        unsent.reset();
        auto slot = ends->output.frame(SOON);
        auto late = ends->output.frame(SOON);
        ends.reset();
        std::memset(slot->data(), 1, slot->bytes());
        slot.reset();
        // Whatever becomes of it, it is said, and the slot is gone.
        auto sent = late->try_send();
        CHECK(!*late && (sent || !sent.error().code().empty()));
    }
}

void who_holds_every_slot_is_told() {
    for (bool shared : {false, true}) {
        Pair ends = pair_by(shared);
        std::vector<framewire::Frame> kept;
        std::atomic<bool> stop{false};
        std::thread sending([&] {
            while (!stop)
                if (auto slot = ends.output.try_frame(std::chrono::milliseconds(5)))
                    (void)slot->try_send();
        });
        fw_result result = FW_OK;
        while (result == FW_OK) {
            auto frame = ends.source.try_next(SOON);
            result = frame.result();
            if (frame)
                kept.push_back(std::move(*frame));
        }
        CHECK(result == FW_SLOTS_HELD);
        kept.clear();
        stop = true;
        sending.join();
        CHECK(held(ends.source) == 0);
    }
}

void whoever_waits_is_told_that_it_was_closed() {
    for (bool shared : {false, true}) {
        Pair ends = pair_by(shared);
        std::thread closing([&] { ends.source.close(); });
        auto frame = ends.source.try_next();
        CHECK(!frame && frame.error().kind() == FW_CLASS_CLOSED);
        closing.join();
    }
}

void a_child_is_told_that_it_was_forked() {
    for (bool shared : {false, true}) {
        Pair ends = pair_by(shared);
        send(ends.output, 3);
        framewire::Frame frame = next(ends.source);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            const bool told = ends.source.try_next(std::chrono::seconds(0)).error().kind() == FW_CLASS_FORKED &&
                              ends.output.try_frame(std::chrono::seconds(0)).error().kind() == FW_CLASS_FORKED &&
                              !ends.source.try_fd();
            frame.release();
            {
                Pair dropped = std::move(ends);
            }
            _exit(told ? 0 : 1);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        // And the parent's go on.
        send(ends.output, 4);
        CHECK(next(ends.source).data()[0] == 4 && frame.data()[0] == 3);
    }
}

void null_is_no_crash() {
    fw_error *error = nullptr;
    fw_frame *frame = nullptr;
    CHECK(fw_source_next(nullptr, 0, &frame, &error) == FW_ERROR && frame == nullptr);
    CHECK(fw_error_class(error) == FW_CLASS_ARGUMENT && std::strcmp(fw_error_code(error), "null-pointer") == 0);
    fw_error_free(error);
    CHECK(fw_source_next(nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_source_latest(nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_source_fd(nullptr, nullptr) == -1 && fw_source_stats(nullptr, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_source_streams(nullptr, nullptr) == nullptr && fw_source_address(nullptr) == nullptr);
    CHECK(fw_source_is_closed(nullptr) && fw_output_is_closed(nullptr));
    fw_source_close(nullptr);
    fw_source_free(nullptr);
    CHECK(fw_receiver_open(nullptr, nullptr, nullptr) == nullptr && fw_sender_open(nullptr, nullptr, nullptr) == nullptr);
    CHECK(fw_publisher_open(nullptr, nullptr, nullptr) == nullptr);
    CHECK(fw_output_begin(nullptr, FW_BGR24, 4, 4, 0, nullptr) == FW_ERROR);
    CHECK(fw_output_frame(nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_output_send(nullptr, nullptr, 0, nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_output_wait_open(nullptr, 0, nullptr) == FW_ERROR && fw_output_wait_settled(nullptr, 0, nullptr) == FW_ERROR);
    CHECK(fw_output_stats(nullptr, nullptr, nullptr) == FW_ERROR && fw_output_close(nullptr, 0, nullptr) == FW_ERROR);
    CHECK(fw_output_target(nullptr) == nullptr);
    fw_output_skip(nullptr);
    fw_output_free(nullptr);
    CHECK(fw_slot_data(nullptr) == nullptr && fw_slot_bytes(nullptr) == 0 && fw_slot_planes(nullptr) == 0);
    CHECK(fw_slot_plane(nullptr, 0, nullptr, nullptr) == nullptr && fw_slot_width(nullptr) == 0 && fw_slot_height(nullptr) == 0);
    CHECK(fw_slot_array(nullptr, nullptr, nullptr) == FW_ERROR && fw_slot_plane_array(nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_slot_set_length(nullptr, 1, nullptr) == FW_ERROR && fw_slot_set_metadata(nullptr, 0, nullptr, 0, nullptr) == FW_ERROR);
    CHECK(fw_slot_stride(nullptr) == 0 && fw_slot_format(nullptr) == 0 && fw_slot_send(nullptr, nullptr, nullptr) == FW_ERROR);
    fw_slot_set_captured_ns(nullptr, 1);
    fw_slot_set_captured_utc_ns(nullptr, 1);
    fw_slot_discard(nullptr);
    CHECK(fw_frame_data(nullptr) == nullptr && fw_frame_bytes(nullptr) == 0 && fw_frame_planes(nullptr) == 0);
    CHECK(fw_frame_plane(nullptr, 0, nullptr, nullptr) == nullptr && !fw_frame_plane_size(nullptr, 0, nullptr, nullptr));
    CHECK(fw_frame_width(nullptr) == 0 && fw_frame_height(nullptr) == 0 && fw_frame_stride(nullptr) == 0);
    CHECK(fw_frame_format(nullptr) == 0 && fw_frame_format_name(nullptr) == nullptr && fw_frame_number(nullptr) == 0);
    CHECK(fw_frame_array(nullptr, nullptr, nullptr) == FW_ERROR && fw_frame_plane_array(nullptr, 0, nullptr, nullptr) == FW_ERROR);
    CHECK(fw_frame_captured_ns(nullptr) == 0 && !fw_frame_captured_utc_ns(nullptr, nullptr) && !fw_frame_latency_ns(nullptr, nullptr));
    CHECK(!fw_frame_is_complete(nullptr) && fw_frame_missing(nullptr, nullptr, 0) == 0);
    CHECK(fw_frame_metadata(nullptr, nullptr, nullptr) == nullptr && fw_frame_stream(nullptr) == nullptr);
    CHECK(fw_frame_clone(nullptr) == nullptr && fw_frame_slot(nullptr) == 0);
    fw_frame_release(nullptr);
    CHECK(fw_streams_count(nullptr) == 0 && fw_streams_at(nullptr, 0) == nullptr);
    fw_streams_free(nullptr);
    CHECK(fw_stream_name(nullptr) == nullptr && fw_stream_format(nullptr) == 0 && fw_stream_format_name(nullptr) == nullptr);
    CHECK(fw_stream_width(nullptr) == 0 && fw_stream_height(nullptr) == 0 && fw_stream_stride(nullptr) == 0);
    CHECK(!fw_stream_rate(nullptr, nullptr, nullptr) && fw_stream_delivery(nullptr) == 0 && fw_stream_metadata_max(nullptr) == 0);
    CHECK(fw_stream_peer(nullptr) == nullptr && fw_stream_hub(nullptr) == nullptr && fw_stream_path(nullptr) == nullptr);
    CHECK(fw_key_text(nullptr) == nullptr && fw_key_id(nullptr) == nullptr && fw_output_protection(nullptr) == nullptr);
    CHECK(fw_stream_protection(nullptr) == nullptr && fw_key_from_text(nullptr, nullptr) == nullptr);
    fw_key_free(nullptr);
    CHECK(fw_error_class(nullptr) == FW_CLASS_NONE && fw_error_code(nullptr) == nullptr && fw_error_text(nullptr) == nullptr);
    fw_error_free(nullptr);
    CHECK(fw_format_at(0, nullptr, nullptr) == FW_ERROR && fw_format_code(nullptr, nullptr) == 0 && fw_format_name(1) == nullptr);
}

void what_cannot_be_is_told_with_the_value() {
    auto told = [](const framewire::Error &error, fw_class kind, const char *value) {
        if (error.kind() != kind || error.text().find(value) == std::string::npos)
            std::cerr << error.kind() << " " << error.code() << ": " << error.text() << "\n";
        return error.kind() == kind && error.text().find(value) != std::string::npos;
    };
    CHECK(told(framewire::Receiver::try_open("nonsense").error(), FW_CLASS_ARGUMENT, "nonsense"));
    CHECK(told(framewire::Receiver::try_open("0.0.0.0:0").error(), FW_CLASS_ARGUMENT, "FW_PROTECTION_OFF"));
    CHECK(told(framewire::Receiver::try_open("\xff:1").error(), FW_CLASS_ARGUMENT, "UTF-8"));
    CHECK(told(framewire::Reader::try_open("no-such-stream").error(), FW_CLASS_UNKNOWN_STREAM, "no-such-stream"));
    framewire::OutputOptions wrong{};
    wrong.delivery = 9;
    CHECK(told(framewire::Sender::try_open("127.0.0.1:1", wrong).error(), FW_CLASS_ARGUMENT, "9"));
    Pair ends = pair_by(true);
    CHECK(told(ends.output.try_begin(FW_GRAY8, 64, 48).error(), FW_CLASS_FORMAT, "gray8"));
    CHECK(told(ends.output.try_begin(fw_pixel_format(3), 64, 48).error(), FW_CLASS_FORMAT, "0x0003"));
    CHECK(told(ends.output.try_send("abc", 3).error(), FW_CLASS_FORMAT, "9216"));
    auto slot = ends.output.frame(SOON);
    CHECK(told(slot->try_set_metadata(FW_METADATA_JSON, std::string(5000, 'x')).error(), FW_CLASS_ARGUMENT, "5000"));
    CHECK(told(slot->try_set_metadata(fw_metadata_kind(7), "x").error(), FW_CLASS_ARGUMENT, "7"));
    CHECK(told(slot->try_set_length(5).error(), FW_CLASS_FORMAT, "5"));
    // Structs of another size: an older program's is shorter, a later one's longer.
    fw_error *error = nullptr;
    fw_receiver_options options{};
    CHECK(fw_receiver_open("127.0.0.1:0", &options, &error) == nullptr);
    CHECK(told(framewire::Error(FW_ERROR, error), FW_CLASS_ARGUMENT, "sizeof"));
    options.size = sizeof(std::size_t) + sizeof options.slots;
    options.slots = 4;
    fw_source *source = fw_receiver_open("127.0.0.1:0", &options, nullptr);
    CHECK(source != nullptr);
    struct {
        fw_source_counts counts;
        std::uint64_t unknown;
    } later{{sizeof later, 0, 0, 0, 0, 0, 0, 0, 0}, 5};
    CHECK(fw_source_stats(source, &later.counts, nullptr) == FW_OK && later.unknown == 5 && later.counts.size == sizeof later);
    fw_source_free(source);
    struct {
        fw_receiver_options options;
        std::uint64_t unknown;
    } asks{{sizeof asks, 0, 0, 0, 0, 0, 0, 0, nullptr}, 5};
    CHECK(fw_receiver_open("127.0.0.1:0", &asks.options, &error) == nullptr);
    CHECK(told(framewire::Error(FW_ERROR, error), FW_CLASS_ARGUMENT, "does not know"));
}

void with_a_key_frames_are_protected_and_strangers_are_told() {
    auto key = framewire::Key::random();
    CHECK(key.text().size() == 43 && key.id().size() == 16 && framewire::Key::from_text(key.text() + "\n").id() == key.id());
    const fw_key *keys[] = {key.get()};
    framewire::ReceiverOptions taking{};
    taking.keys = keys;
    taking.keys_count = 1;
    framewire::Receiver receiver("127.0.0.1:0", taking);
    auto sending = every();
    sending.key = key.get();
    framewire::Sender sender(receiver.address(), sending);
    // Both ends have their own.
    key = framewire::Key::random();
    sender.begin(FW_GRAY8, 64, 48);
    send(sender, 7);
    framewire::Frame frame = next(receiver);
    CHECK(frame.data()[0] == 7 && !frame.stream().protection.empty() && frame.stream().protection == sender.protection());

    auto refused = [&](const framewire::OutputOptions &options, const char *code) {
        framewire::Sender stranger(receiver.address(), options);
        stranger.begin(FW_GRAY8, 64, 48);
        const auto waited = stranger.try_wait_open(SOON);
        return !waited && waited.error().kind() == FW_CLASS_REFUSED && waited.error().code() == code
            && waited.error().text().find("::") == std::string::npos;
    };
    CHECK(refused(every(), "refused-needs-key"));
    sending.key = key.get();
    CHECK(refused(sending, "refused-wrong-key"));

    fw_error *error = nullptr;
    CHECK(fw_key_from_text("too short, and a secret", &error) == nullptr);
    const framewire::Error told(FW_ERROR, error);
    CHECK(told.kind() == FW_CLASS_ARGUMENT && told.text().find("secret") == std::string::npos);
    CHECK(!framewire::Key::try_from_text("\xff") && !framewire::Key::try_from_bytes(nullptr));
    const std::uint8_t bytes[FW_KEY_BYTES] = {1};
    CHECK(framewire::Key::from_bytes(bytes).id() == framewire::Key::from_bytes(bytes).id());
    for (const char *wrong : {"framewire://h:1", "framewire://h:1#secret.x", "/no/such/file", "\xff"}) {
        const auto joined = framewire::Sender::try_join(wrong);
        CHECK(!joined && joined.error().kind() == FW_CLASS_ARGUMENT && joined.error().text().find("secret.x") == std::string::npos);
    }
    CHECK(fw_sender_join(nullptr, nullptr, nullptr, nullptr) == nullptr);
    taking.keys = nullptr;
    CHECK(!framewire::Receiver::try_open("127.0.0.1:0", taking));
    sending.protection = FW_PROTECTION_OFF;
    framewire::Sender contradicts("127.0.0.1:9", sending);
    CHECK(contradicts.try_begin(FW_GRAY8, 64, 48).error().code() == "key-unused");
    sending.protection = 9;
    CHECK(!framewire::Sender::try_open("127.0.0.1:9", sending) && !framewire::Publisher::try_open("with-a-key", sending));
}

// Beside a server that is not there: what comes of one that is, other tests see.
void who_watches_is_told_what_is_waited_for_and_of_the_closing() {
    framewire::WatchOptions options{};
    options.server = "http://127.0.0.1:9";
    options.delivery = FW_EVERY;
    options.fps_max = 12.5;
    {
        auto watched = framewire::Receiver::watch("front", options);
        CHECK(watched.address().rfind("127.0.0.1:", 0) == 0);
        while (watched.trouble().empty())
            CHECK(watched.try_next(std::chrono::milliseconds(10)).result() == FW_TIMEOUT);
        std::thread closing([&] { watched.close(); });
        CHECK(watched.try_next().error().kind() == FW_CLASS_CLOSED);
        closing.join();
    }
    auto refused = [](const char *name, framewire::WatchOptions options) {
        const auto watched = framewire::Receiver::try_watch(name, options);
        return !watched && watched.error().kind() == FW_CLASS_ARGUMENT && watched.error().text().find("secret.x") == std::string::npos;
    };
    CHECK(refused("", options));
    auto wrong = options;
    wrong.join = "framewire://h:1#secret.x";
    CHECK(refused("front", wrong));
    wrong.server = nullptr;
    CHECK(refused("front", wrong));
    wrong.join = nullptr;
    CHECK(refused("front", wrong));
    wrong = options;
    wrong.fps_max = -1.0;
    CHECK(refused("front", wrong));
    wrong = options;
    wrong.delivery = 9;
    CHECK(refused("front", wrong));
    CHECK(fw_source_watch(nullptr, &options, nullptr) == nullptr && fw_source_watch("front", nullptr, nullptr) == nullptr);
    CHECK(fw_source_trouble(nullptr) == nullptr);
}

void every_format_is_told_and_goes_through() {
    for (std::size_t at = 0; at < fw_format_count(); at++) {
        auto format = framewire::detail::sized<fw_format>();
        CHECK(fw_format_at(at, &format, nullptr) == FW_OK);
        CHECK(fw_format_code(format.name, nullptr) == format.code && std::strcmp(fw_format_name(format.code), format.name) == 0);
        const unsigned height = format.code == FW_BYTES ? 1 : 8;
        Pair ends = pair_by(at % 2 == 0, fw_pixel_format(format.code), 96, height);
        send(ends.output, std::uint8_t(at));
        framewire::Frame frame = next(ends.source);
        CHECK(frame.format() == format.code && frame.planes() == format.planes && frame.width() == 96);
        const fw_array array = frame.array();
        std::size_t bytes = array.item;
        for (unsigned dimension = 0; dimension < array.dimensions; dimension++)
            bytes *= array.shape[dimension];
        CHECK(bytes == frame.bytes() && array.offset == 0);
        std::size_t end = 0;
        for (unsigned plane = 0; plane < frame.planes(); plane++) {
            CHECK(frame.plane(plane).data == frame.data() + end);
            CHECK(frame.plane_array(plane).offset == end);
            end += frame.plane(plane).bytes;
        }
        CHECK(end == frame.bytes() && frame.plane(frame.planes()).data == nullptr);
        CHECK(frame.data()[frame.bytes() - 1] == std::uint8_t(at));
#ifdef WITH_OPENCV
        const auto *pixels = frame.data();
        cv::Mat mat = framewire::mat(std::move(frame));
        CHECK(mat.data == pixels && mat.isContinuous() && mat.total() * mat.elemSize() == bytes);
        CHECK(mat.depth() == (array.item == FW_F32 ? CV_32F : array.item == FW_U16 ? CV_16U : CV_8U));
#endif
    }
}

#ifdef WITH_OPENCV
void the_last_mat_gives_the_slot_back() {
    for (bool shared : {false, true}) {
        std::optional<Pair> ends(pair_by(shared));
        send(ends->output, 9);
        framewire::Frame frame = next(ends->source);
        const auto *pixels = frame.data();
        cv::Mat mat = framewire::mat(std::move(frame));
        CHECK(!frame && mat.data == pixels && mat.type() == CV_8UC3 && mat.rows == 48 && mat.cols == 64);
        cv::Mat part = mat(cv::Rect(8, 8, 16, 16)), same = mat;
        mat.release();
        same.release();
        CHECK(held(ends->source) == 1 && part.at<cv::Vec3b>(15, 15)[2] == 9);
        // What is made anew is a Mat like any other, and no longer the frame.
        part.create(100, 100, CV_8UC1);
        part.setTo(1);
        CHECK(held(ends->source) == 0);
        CHECK(!framewire::try_mat(framewire::Frame(nullptr)));
    }
}

void mats_outlive_everything() {
    for (bool shared : {false, true}) {
        cv::Mat mat, copy;
        {
            Pair ends = pair_by(shared);
            send(ends.output, 11);
            mat = framewire::mat(next(ends.source));
            copy = mat.clone();
        }
        CHECK(mat.at<cv::Vec3b>(47, 63)[0] == 11 && cv::norm(mat, copy, cv::NORM_INF) == 0);
        std::thread([last = std::move(mat)] { CHECK(last.at<cv::Vec3b>(0, 0)[1] == 11); }).join();
    }
}

void planes_and_slots_are_mats_in_place() {
    Pair ends = pair_by(true, FW_NV12, 64, 48);
    auto slot = ends.output.frame(SOON);
    cv::Mat written = framewire::mat(*slot);
    CHECK(framewire::is_over(written, *slot) && written.rows == 72 && written.cols == 64 && written.type() == CV_8UC1);
    written.setTo(128);
    written.create(10, 10, CV_8UC1);
    CHECK(!framewire::is_over(written, *slot));
    slot->send();
    framewire::Frame frame = next(ends.source);
    cv::Mat chroma = framewire::plane_mat(frame, 1);
    CHECK(chroma.data == frame.plane(1).data && chroma.type() == CV_8UC2 && chroma.rows == 24 && chroma.cols == 32);
    CHECK(!framewire::try_plane_mat(frame, 2));
    frame.release();
    CHECK(held(ends.source) == 1 && chroma.at<cv::Vec2b>(23, 31)[1] == 128);
    chroma.release();
    CHECK(held(ends.source) == 0);
}

framewire::Frame padded(Pair &ends) {
    send(ends.output, 5);
    return next(ends.source);
}

void rows_that_are_padded_keep_their_stride() {
    framewire::Publisher publisher("padded-" + std::to_string(getpid()), every());
    publisher.begin(FW_BGR24, 10, 4, 64);
    Pair ends{framewire::Reader("padded-" + std::to_string(getpid())), std::move(publisher)};
    cv::Mat mat = framewire::mat(padded(ends));
    CHECK(mat.step[0] == 64 && mat.cols == 10 && !mat.isContinuous());
    framewire::Publisher planar("planar-" + std::to_string(getpid()), every());
    planar.begin(FW_YUV420P, 10, 4, 16);
    Pair others{framewire::Reader("planar-" + std::to_string(getpid())), std::move(planar)};
    auto refused = framewire::try_mat(padded(others));
    CHECK(refused.error().kind() == FW_CLASS_FORMAT && held(others.source) == 0);
}
#endif

} // namespace

int main() {
    a_frame_and_its_clones_hold_a_slot_and_outlive_the_source();
    a_slot_outlives_its_output_and_is_given_back_unsent();
    who_holds_every_slot_is_told();
    whoever_waits_is_told_that_it_was_closed();
    a_child_is_told_that_it_was_forked();
    null_is_no_crash();
    what_cannot_be_is_told_with_the_value();
    with_a_key_frames_are_protected_and_strangers_are_told();
    who_watches_is_told_what_is_waited_for_and_of_the_closing();
    every_format_is_told_and_goes_through();
#ifdef WITH_OPENCV
    the_last_mat_gives_the_slot_back();
    mats_outlive_everything();
    planes_and_slots_are_mats_in_place();
    rows_that_are_padded_keep_their_stride();
#endif
    std::cout << "lifetimes: all as it should be\n";
    return 0;
}
