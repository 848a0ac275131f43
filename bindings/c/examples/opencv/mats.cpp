// A detector's loop with OpenCV: pictures are drawn in the slots that they are sent from, and looked at in those that they arrived in.
#include <framewire/opencv.hpp>

#include <opencv2/imgproc.hpp>

#include <iostream>

int main() try {
    framewire::OutputOptions every{};
    every.delivery = FW_EVERY;
    framewire::Receiver receiver("127.0.0.1:0");
    framewire::Sender sender(receiver.address(), every);
    sender.begin(FW_BGR24, 320, 240);

    for (int turn = 0; turn < 10; turn++) {
        // Written in place: no copy.
        auto slot = sender.frame();
        cv::Mat canvas = framewire::mat(*slot);
        canvas.setTo(cv::Scalar(0, 0, 0));
        cv::circle(canvas, {20 + 30 * turn, 120}, 10, cv::Scalar(255, 255, 255), cv::FILLED);
        slot->send();

        // Read in place: no copy either, and the slot is given back when `picture` and all that share its pixels are gone.
        auto frame = receiver.next(std::chrono::seconds(30));
        if (!frame)
            return std::cerr << "no frame came\n", 1;
        const auto *pixels = frame->data();
        cv::Mat picture = framewire::mat(std::move(*frame));
        cv::Mat gray;
        cv::cvtColor(picture, gray, cv::COLOR_BGR2GRAY);
        const cv::Moments moments = cv::moments(gray, true);
        const int found = int(moments.m10 / moments.m00 + 0.5);
        if (picture.data != pixels || found < 18 + 30 * turn || found > 22 + 30 * turn)
            return std::cerr << "the circle is at " << found << "\n", 1;
    }

    // With one copy, from a Mat whose rows are padded.
    cv::Mat large(480, 640, CV_8UC3, cv::Scalar(1, 2, 3));
    framewire::send(sender, large(cv::Rect(10, 10, 320, 240)));
    auto frame = receiver.next(std::chrono::seconds(30));
    if (!frame || frame->data()[2] != 3)
        return std::cerr << "the last picture is not what was sent\n", 1;
    std::cout << "opencv: 11 pictures, 10 of them without a copy at either end\n";
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << "\n";
    return 1;
}
