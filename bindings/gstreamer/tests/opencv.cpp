// A pipeline read by OpenCV, as its users have it: ten pictures, none of one value alone.
// With "has" it says whether this OpenCV has GStreamer.
#include <opencv2/core.hpp>
#include <opencv2/videoio.hpp>
#include <opencv2/videoio/registry.hpp>

#include <iostream>
#include <string>

int main(int count, char **arguments)
{
    const std::string said = count > 1 ? arguments[1] : "";
    if (said == "has")
        return cv::videoio_registry::hasBackend(cv::CAP_GSTREAMER) ? 0 : 1;
    cv::VideoCapture camera(said, cv::CAP_GSTREAMER);
    for (int picture = 0; picture < 10; ++picture) {
        cv::Mat taken;
        if (!camera.read(taken)) {
            std::cerr << "picture " << picture << " did not come\n";
            return 1;
        }
        double least = 0, most = 0;
        cv::minMaxLoc(taken.reshape(1), &least, &most);
        if (taken.type() != CV_8UC3 || taken.cols != 1920 || taken.rows != 1080 || least == most) {
            std::cerr << "picture " << picture << " is " << taken.cols << "x" << taken.rows << ", " << least << " to " << most << "\n";
            return 1;
        }
    }
    return 0;
}
