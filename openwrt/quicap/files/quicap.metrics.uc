// Metrics of QUICAP for prometheus-node-exporter-ucode, which runs each file of /usr/share/ucode/node-exporter/lib at a scrape.
// The text is that of `quicap status --metrics`, of all networks that run; it is complete, with HELP and TYPE, so it is passed
// on as it is. Nothing runs, or nobody answers: the exporter notes that the collector failed.

const pipe = fs.popen("/usr/sbin/quicap status --metrics 2>/dev/null");
const text = pipe ? pipe.read("all") : "";

if (pipe)
	pipe.close();

if (!length(text))
	return false;

// The exporter runs inside uhttpd, or by hand.
if ("uhttpd" in global)
	global.uhttpd.send(text);
else
	print(text);
