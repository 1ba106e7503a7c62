package plugins

import (
	"net/http"
	"os"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Fail{}) }

// Fail breaks in the middle of a call: "throw" the call, "exit" the process.
type Fail struct{ plugin.DefaultPlugin }

type FailConf struct {
	How string `json:"how"`
}

func (p *Fail) Name() string { return "conf-fail" }

func (p *Fail) ParseConf(in []byte) (interface{}, error) { return parse[FailConf](in) }

func (p *Fail) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	if conf.(FailConf).How == "exit" {
		os.Exit(3)
	}
	panic("conf-fail was told to")
}
