package plugins

import (
	"net/http"
	"strings"

	pkgHTTP "github.com/apache/apisix-go-plugin-runner/pkg/http"
	"github.com/apache/apisix-go-plugin-runner/pkg/plugin"
)

func init() { register(&Echo{}) }

// Echo answers with the request as this runner sees it.
type Echo struct{ plugin.DefaultPlugin }

type EchoConf struct{}

func (p *Echo) Name() string { return "conf-echo" }

func (p *Echo) ParseConf(in []byte) (interface{}, error) { return parse[EchoConf](in) }

func (p *Echo) RequestFilter(conf interface{}, w http.ResponseWriter, r pkgHTTP.Request) {
	headers := map[string][]string{}
	for name, values := range r.Header().View() {
		headers[strings.ToLower(name)] = values
	}
	tell(w, map[string]interface{}{
		"id":        r.ID(),
		"method":    r.Method(),
		"path":      string(r.Path()),
		"args":      r.Args(),
		"headers":   headers,
		"source_ip": r.SrcIP().String(),
	})
}
