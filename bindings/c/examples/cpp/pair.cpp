// Two ends in one program: frames go from a publisher to a reader of this machine, and from a sender to a receiver by UDP.
#include <framewire.hpp>

#include <algorithm>
#include <iostream>
#include <thread>

namespace {

constexpr unsigned WIDTH = 640, HEIGHT = 480;
constexpr std::uint64_t FRAMES = 50;
constexpr std::chrono::seconds SOON(30);

// Every frame is written in its slot: no copy.
void send_all(framewire::Output &output) {
    output.begin(FW_BGR24, WIDTH, HEIGHT);
    for (std::uint64_t number = 0; number < FRAMES; number++) {
        auto slot = output.frame(SOON);
        if (!slot)
            throw std::runtime_error("no slot came free");
        std::fill_n(slot->data(), slot->bytes(), std::uint8_t(number));
        slot->set_metadata(FW_METADATA_JSON, "{\"exposure_us\":8000}");
        slot->send();
    }
    output.close(SOON);
}

// Frames up to the last; by shared memory those that it was not fast enough for are left out, and whoever publishes waits for nobody.
bool receive_all(const char *how, framewire::Source &source) {
    std::uint64_t count = 0;
    for (framewire::Frame &frame : source) {
        const auto shade = std::uint8_t(frame.number());
        if (!std::all_of(frame.data(), frame.data() + frame.bytes(), [&](auto byte) { return byte == shade; }))
            return false;
        count++;
        if (frame.number() + 1 == FRAMES) {
            std::cout << how << ": " << count << " frames of " << frame.width() << "x" << frame.height() << " "
                      << frame.format_name() << ", with " << frame.metadata()->bytes << "\n";
            break;
        }
    }
    return count + source.stats().dropped == FRAMES;
}

} // namespace

int main() try {
    framewire::OutputOptions every{};
    every.delivery = FW_EVERY;

    framewire::Receiver receiver("127.0.0.1:0");
    framewire::Sender sender(receiver.address(), every);
    std::thread sending([&] { send_all(sender); });
    bool all = receive_all("udp", receiver);
    sending.join();

    framewire::Publisher publisher("example-cpp", every);
    publisher.begin(FW_BGR24, WIDTH, HEIGHT);
    framewire::ReaderOptions queued{};
    queued.queue = 4;
    framewire::Reader reader("example-cpp", queued);
    std::thread publishing([&] { send_all(publisher); });
    all = receive_all("shm", reader) && all;
    publishing.join();

    return all ? 0 : 1;
} catch (const framewire::Error &error) {
    std::cerr << error.what() << " (" << error.code() << ")\n";
    return 1;
}
