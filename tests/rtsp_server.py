"""A real RTSP server in one file, run by the system's Python (PyGObject and GStreamer's RTSP server from apt).

    /usr/bin/python3 tests/rtsp_server.py --file clip.mp4 --auth digest --user u --password p

Prints ``READY PORT`` and serves ``rtsp://127.0.0.1:PORT/cam`` until it is killed. Stand-alone on purpose: it runs
outside the project's environment, and everybody who needs a camera (tests, benchmarks) starts this same file.
"""

from __future__ import annotations

import argparse
import os

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# sliced-threads sends every keyframe twice together with config-interval=-1
ENCODERS = {
    "h264": "x264enc tune=zerolatency sliced-threads=false speed-preset=ultrafast bitrate={kbit} key-int-max={gop}"
    " bframes=0 ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1",
    "h265": "x265enc tune=zerolatency speed-preset=ultrafast bitrate={kbit} key-int-max={gop}"
    " ! h265parse ! rtph265pay name=pay0 pt=96 config-interval=-1",
    "mjpeg": "jpegenc quality=80 ! rtpjpegpay name=pay0 pt=26",
}


def pipeline(arguments: argparse.Namespace) -> str:
    """The GStreamer launch line of the one stream that is served."""
    if arguments.file and not arguments.encode:
        # the file's own packets, so that nothing is lost by coding it again
        own = f"{arguments.codec}parse ! rtp{arguments.codec}pay name=pay0 pt=96 config-interval=-1"
        line = f'filesrc location="{arguments.file}" ! qtdemux ! {own}'
    else:
        if arguments.file:
            raw = f'filesrc location="{arguments.file}" ! decodebin ! videoconvert ! videoscale ! videorate'
        else:
            raw = f"videotestsrc is-live=true do-timestamp=true pattern={arguments.pattern}"
        width, height = arguments.size.split("x")
        raw += f" ! video/x-raw,format=I420,width={width},height={height},framerate={arguments.fps}/1"
        line = raw + " ! " + ENCODERS[arguments.codec].format(kbit=arguments.kbit, gop=arguments.gop)
    if arguments.loss:
        # pay0 is what the server takes its packets from
        line = line.replace("name=pay0", "") + f" ! identity name=pay0 drop-probability={arguments.loss}"
    return f"( {line} )"


def authorise(server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, arguments) -> None:
    """Ask for the user name and the password before anything is told of the stream."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if arguments.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(arguments.user, arguments.password, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", right, True)
    factory.set_permissions(permissions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="0", help="0 takes any free port")
    parser.add_argument("--path", default="/cam")
    parser.add_argument("--file", help="an MP4; its --codec, h264 or h265, is sent as it is unless --encode is given")
    parser.add_argument("--encode", action="store_true")
    parser.add_argument("--pattern", default="ball", help="videotestsrc's pattern, where there is no file")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--size", default="320x240")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--gop", type=int, default=25)
    parser.add_argument("--kbit", type=int, default=600)
    parser.add_argument("--loss", type=float, default=0.0, help="share of the RTP packets that are thrown away")
    parser.add_argument("--shared", action="store_true", help="one pipeline for all clients: the second joins mid-GOP")
    parser.add_argument("--auth", choices=["none", "basic", "digest"], default="none")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--with-parent", action="store_true", help="end when the process that started this one ends")
    arguments = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline(arguments))
    factory.set_shared(arguments.shared)
    if arguments.auth != "none":
        authorise(server, factory, arguments)
    server.get_mount_points().add_factory(arguments.path, factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {arguments.port} is taken")
    # sessions of clients that vanished would be kept for a minute, and with them their pipelines
    GLib.timeout_add_seconds(2, lambda: server.get_session_pool().cleanup() >= 0)
    if arguments.with_parent:
        parent = os.getppid()
        GLib.timeout_add_seconds(2, lambda: os.getppid() == parent or os._exit(0))
    print("READY", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
