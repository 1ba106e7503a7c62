// A plugin runner as a user of apisix-go-plugin-runner writes it, with plugins
// that show a gateway's conformance suite what a Go plugin learns and can do.
//
// With the argument "linger" it stays after SIGTERM, as a runner does whose
// cleanup hangs.
package main

import (
	"os"

	"github.com/apache/apisix-go-plugin-runner/pkg/runner"

	_ "outrigger.invalid/conformance/go/plugins"
)

func main() {
	runner.Run(runner.RunnerConfig{})
	if len(os.Args) > 1 && os.Args[1] == "linger" {
		select {}
	}
}
