package plugins

import (
	"net/http"
	"os"
	"strings"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Env{}) }

// Env answers with the whole environment, process id and working folder of the
// runner.
type Env struct{ plugin.DefaultPlugin }

type EnvConf struct{}

func (p *Env) Name() string { return "conf-env" }

func (p *Env) ParseConf(in []byte) (interface{}, error) { return parse[EnvConf](in) }

func (p *Env) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	env := map[string]string{}
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		env[name] = value
	}
	folder, _ := os.Getwd()
	tell(w, map[string]interface{}{"env": env, "pid": os.Getpid(), "cwd": folder})
}
