// The C++ interface where exceptions are off.
#include <framewire.hpp>

#include <cstring>

int main() {
    auto receiver = framewire::Receiver::try_open("127.0.0.1:0");
    if (!receiver)
        return 1;
    framewire::OutputOptions options{};
    options.delivery = FW_EVERY;
    auto sender = framewire::Sender::try_open(receiver->address(), options);
    if (!sender || !sender->try_begin(FW_GRAY8, 16, 16))
        return 2;
    char pixels[256];
    std::memset(pixels, 3, sizeof pixels);
    if (!sender->try_send(pixels, sizeof pixels, std::chrono::seconds(30)))
        return 3;
    auto frame = receiver->try_next(std::chrono::seconds(30));
    auto refused = framewire::Receiver::try_open("nonsense");
    return frame && frame->data()[255] == 3 && !refused && refused.error().kind() == FW_CLASS_ARGUMENT ? 0 : 4;
}
