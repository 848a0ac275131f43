// Frames as cv::Mat, for OpenCV 4: in the memory that they are in, without a copy. Compiled by the program that includes it, against its own OpenCV.
#ifndef FRAMEWIRE_OPENCV_HPP
#define FRAMEWIRE_OPENCV_HPP

#include <framewire.hpp>

#include <opencv2/core.hpp>

namespace framewire {

namespace detail {

/// Has the last cv::Mat over a frame give the frame back.
class LeaseAllocator final : public cv::MatAllocator {
public:
    static const LeaseAllocator &instance() {
        // Never destroyed: a Mat may be, after everything else.
        static const LeaseAllocator *const allocator = new LeaseAllocator;
        return *allocator;
    }

    /// One hold on a frame, which this takes over.
    static cv::UMatData *lease(fw_frame *frame, std::uint8_t *data, std::size_t bytes) {
        auto *held = new cv::UMatData(&instance());
        held->data = held->origdata = data;
        held->size = bytes;
        held->userdata = frame;
        return held;
    }

    // A Mat over a frame that is made anew, larger for instance, is a Mat like any other.
    cv::UMatData *allocate(int dims, const int *sizes, int type, void *data, std::size_t *step, cv::AccessFlag flags,
                           cv::UMatUsageFlags usage) const override {
        return cv::Mat::getStdAllocator()->allocate(dims, sizes, type, data, step, flags, usage);
    }
    bool allocate(cv::UMatData *data, cv::AccessFlag flags, cv::UMatUsageFlags usage) const override {
        return cv::Mat::getStdAllocator()->allocate(data, flags, usage);
    }
    void deallocate(cv::UMatData *held) const override {
        if (held == nullptr)
            return;
        fw_frame_release(static_cast<fw_frame *>(held->userdata));
        held->userdata = nullptr;
        delete held;
    }
};

/// A Mat over an array that begins at `data`, which it does not own.
inline cv::Mat over(const fw_array &array, std::uint8_t *data) {
    const int depth = array.item == FW_F32 ? CV_32F : array.item == FW_U16 ? CV_16U : CV_8U;
    const auto side = [&](unsigned dimension) { return static_cast<int>(array.shape[dimension]); };
    std::uint8_t *first = data + array.offset;
    if (array.dimensions == 1)
        return cv::Mat(1, side(0), depth, first);
    if (array.dimensions == 2)
        return cv::Mat(side(0), side(1), depth, first, array.strides[0]);
    // Samples of a pixel lie side by side; else the first dimension is that of planes.
    if (array.strides[1] == array.shape[2] * array.item)
        return cv::Mat(side(0), side(1), CV_MAKETYPE(depth, side(2)), first, array.strides[0]);
    const int sizes[] = {side(0), side(1), side(2)};
    const std::size_t steps[] = {array.strides[0], array.strides[1]};
    return cv::Mat(3, sizes, depth, first, steps);
}

inline cv::Mat leased(const fw_array &array, Frame frame) {
    auto *data = const_cast<std::uint8_t *>(frame.data());
    const std::size_t bytes = frame.bytes();
    cv::Mat mat = over(array, data);
    mat.u = LeaseAllocator::lease(frame.detach(), data, bytes);
    mat.addref();
    return mat;
}

} // namespace detail

/// A Mat over a frame, in place. The frame's slot is given back with the last Mat that shares its pixels, whatever becomes of the source meanwhile.
///
/// It has the type that OpenCV has for the format: CV_8UC3 for bgr24, CV_16UC1 for gray16, and for planar YUV one channel, (height * 3 / 2) x width for 4:2:0, as
/// cv::cvtColor takes it. FW_CLASS_FORMAT where the planes make no one array (rows that are padded, odd sides): use try_plane_mat.
///
/// It is to be read: drawing on it would draw on what others see, or end the program. clone() it first.
inline Result<cv::Mat> try_mat(Frame frame) {
    auto array = frame.try_array();
    if (!array)
        return array.error();
    return detail::leased(*array, std::move(frame));
}

/// One plane of a frame, from 0 on, as a Mat, in place. It holds the frame as the whole does.
inline Result<cv::Mat> try_plane_mat(const Frame &frame, unsigned plane) {
    auto array = frame.try_plane_array(plane);
    if (!array)
        return array.error();
    return detail::leased(*array, frame.clone());
}

/// A Mat over a slot, to write into. It does not own it: once the slot is sent or discarded, the Mat is over nothing. Whatever writes into it keeps its size and type,
/// else OpenCV makes it a Mat of its own: is_over tells.
inline Result<cv::Mat> try_mat(Slot &slot) {
    auto array = slot.try_array();
    if (!array)
        return array.error();
    return detail::over(*array, slot.data());
}

/// Whether a Mat is still over this slot.
inline bool is_over(const cv::Mat &mat, Slot &slot) { return slot && mat.data == slot.data(); }

/// The format that a Mat has where nothing else is said: gray8, gray16 and depth32f for one channel, bgr24, bgra32. None of others.
inline std::optional<fw_pixel_format> format_of(const cv::Mat &mat) {
    if (mat.dims != 2)
        return std::nullopt;
    switch (mat.type()) {
    case CV_8UC1: return FW_GRAY8;
    case CV_16UC1: return FW_GRAY16;
    case CV_32FC1: return FW_DEPTH32F;
    case CV_8UC3: return FW_BGR24;
    case CV_8UC4: return FW_BGRA32;
    default: return std::nullopt;
    }
}

#if FRAMEWIRE_EXCEPTIONS
/// As try_mat, try_plane_mat.
inline cv::Mat mat(Frame frame) { return try_mat(std::move(frame)).value(); }
inline cv::Mat plane_mat(const Frame &frame, unsigned plane) { return try_plane_mat(frame, plane).value(); }
inline cv::Mat mat(Slot &slot) { return try_mat(slot).value(); }

/// Copies a Mat into a slot and sends it, its rows padded or not; its number, and none where no slot came free in time. The first begins the stream in its format_of,
/// where it has not begun.
inline std::optional<std::uint64_t> send(Output &output, const cv::Mat &mat, nanoseconds timeout = FOREVER) {
    const auto format = format_of(mat);
    if (!format)
        throw cv::Exception(cv::Error::StsUnsupportedFormat, "a Mat of type " + cv::typeToString(mat.type()) + " is no frame; convert it to CV_8UC1, CV_16UC1, CV_32FC1, CV_8UC3 or CV_8UC4, or write into a slot",
                            "framewire::send", __FILE__, __LINE__);
    output.begin(*format, unsigned(mat.cols), unsigned(mat.rows));
    auto slot = output.frame(timeout);
    if (!slot) {
        output.skip();
        return std::nullopt;
    }
    cv::Mat pixels = framewire::mat(*slot);
    mat.copyTo(pixels);
    return slot->send();
}
#endif

} // namespace framewire

#endif
